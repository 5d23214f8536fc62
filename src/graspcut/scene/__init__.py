"""Methods joined: one takes what another found. Here, and nowhere below, two methods meet."""
