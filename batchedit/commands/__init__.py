"""The commands, one module each. They print nothing: what they have to say goes through ``host.Host``, or is returned.

Here checkpoint, manifest and ``review`` meet. Import what you need from its module.
"""

CONFIRMED = "confirmed"
"""The hidden command that ``launch`` starts a process with; its argument is the file of a person's confirmation."""
