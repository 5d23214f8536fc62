"""The review page: a server on this machine, the frames' queue and verdicts, and a static page without a build step."""
