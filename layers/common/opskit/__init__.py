"""What the workflow steps share: the step decorator, the platform contract, the ledger, adapters, decisions."""
