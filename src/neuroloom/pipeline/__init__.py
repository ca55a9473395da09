"""The main job: recording and behaviour in; sorted, decoded, audited and reported out."""
