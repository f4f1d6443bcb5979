"""`feeder ctl`: a person's hand on a running feeder, and an eye on it that sees also when it hangs."""
