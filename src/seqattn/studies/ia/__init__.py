"""[IA]: what the paper printed, beside what was found here."""
