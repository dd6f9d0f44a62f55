"""The life of a message on its way out: states, replies, pace, decisions."""
