"""Files that Prometheus and Grafana read, and what makes them."""
