from neuroloom.training.journal import Journal, read_journal


def test_a_cut_last_line_is_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    journal = Journal(path)
    journal.append({"step": 1, "loss": 0.5})
    journal.append({"step": 2, "loss": None})
    path.write_bytes(path.read_bytes()[:-6])
    assert read_journal(path) == [{"step": 1, "loss": 0.5}]


def test_resuming_drops_the_steps_that_are_done_again(tmp_path):
    path = tmp_path / "log.jsonl"
    for step in (1, 2, 3):
        Journal(path, last_step=step - 1).append({"step": step})
    Journal(path, last_step=2).append({"step": 3, "again": True})
    assert read_journal(path) == [{"step": 1}, {"step": 2}, {"step": 3, "again": True}]


def test_bytes_that_are_not_text_are_left_out(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n\xff\xfe\n[1]\n{"step": 2}\n')
    assert read_journal(path) == [{"step": 1}, {"step": 2}]
