"""Runs JSONata state machines by the Amazon States Language, with time limits, stops and a full history.

ministack keeps state machines and executions and answers their API; this package replaces how it walks a
definition, because too much of that differs from AWS: executions cannot be stopped or timed out, branches
leave no history, a Parallel or Map state ignores its JSONata fields, a callback task ignores its heartbeat.
References: https://states-language.net and
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-amazon-states-language.html
"""
