"""The probe: what is counted while firmware runs, and the profile it yields."""
