"""A trained model that embeds: opened from a run, an exported folder or the hub, with its encoders.

Place in the flow: run folder -> Trained -> Embedder -> Model. Everything that embeds goes through here: evaluation,
search, export and users. Not here: training it (wiring/training/).
"""
