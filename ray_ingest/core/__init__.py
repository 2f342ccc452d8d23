"""The pure core: functions and small classes with time passed in; no socket, Ray, Redis, clock or thread."""
