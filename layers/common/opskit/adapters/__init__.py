"""One module per neighbour of the workflows; every AWS and HTTP call is made here."""
