"""Effective receptive fields: how much each input pixel weighs, by weights of paths or by gradients."""
