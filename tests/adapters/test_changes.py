from ai_coordination_engine.adapters.changes import ProcessChanges


def test_who_watches_a_topic_is_told_until_they_stop() -> None:
    changes, told = ProcessChanges(), list[str]()
    assert not changes.is_watched
    end_first = changes.watch(["a", "b"], lambda: told.append("first"))
    end_second = changes.watch(["b"], lambda: told.append("second"))
    changes.announce(["a", "c"])
    changes.announce(["b"])
    assert told == ["first", "first", "second"]
    end_first()
    changes.announce(["a", "b"])
    assert told[3:] == ["second"]
    assert changes.is_watched
    end_second()
    end_second()
    assert not changes.is_watched


def test_a_look_tells_each_once_if_others_may_have_written() -> None:
    others, told = [False, True], list[str]()
    changes = ProcessChanges(lambda: others.pop(0))
    changes.watch(["a", "b"], lambda: told.append("x"))
    changes.look()
    assert told == []
    changes.look()
    assert told == ["x"]


def test_where_nobody_can_tell_others_may_have_written() -> None:
    changes, told = ProcessChanges(), list[str]()
    changes.watch(["a"], lambda: told.append("x"))
    changes.look()
    changes.look()
    assert (told, changes.look_seconds) == (["x", "x"], 1.0)
