"""The audit log: who read or changed what, when and in which role; one chain of lines for each district."""
