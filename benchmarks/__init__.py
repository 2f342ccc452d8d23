"""What `make bench` measures; start with README.md beside this file."""
