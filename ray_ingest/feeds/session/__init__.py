"""What all live feeds share: connections kept up, tokens, gaps. A broker is an `Adapter` in `brokers/`."""
