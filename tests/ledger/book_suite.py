"""What every book must do (``ledger.book.Book``): one behavioural suite, inherited by the tests of each store."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from batchedit.core.errors import BudgetReachedError, KnownRequestError, StaleRecordError
from batchedit.core.events import (
    Accepted,
    Completed,
    Declined,
    Event,
    Lost,
    Refused,
    Reserved,
    RetryAsked,
    Reused,
    Saved,
    WrittenOff,
)
from batchedit.core.lifecycle import advance
from batchedit.core.model import (
    LEFT_OUT,
    CellProblem,
    Handle,
    InvalidLine,
    JobKey,
    Kind,
    Problem,
    Record,
    ResultLine,
    State,
)
from batchedit.core.review import Conflict, ImportedDecision, PictureDecision, Verdict
from batchedit.ledger.book import Checkpoint
from batchedit.ledger.values import Availability, CommonError, IntakeReport, RunSummary, SharedRequest
from tests.ledger.ledger_suite import FILES, HANDLE, OUTPUTS, PROBLEM
from tests.support.factories import make_job, make_line

REFUSED = Problem(Kind.REFUSED, "no such size", 422)


def take_in(book: Checkpoint, lines: Iterable[ResultLine | InvalidLine], limit: int | None = None) -> IntakeReport:
    intake = book.begin_intake(limit=limit)
    intake.add(lines)
    return intake.commit("fingerprint", {"source": "/sheets/m.csv"})


def play(book: Checkpoint, job: int, *events: Event) -> Record:
    (record,) = book.read_records([job])
    for event in events:
        if isinstance(event, Reserved):
            book.allow([job], price=event.price, times=1)
        record = book.save_now(advance(record, event), event)
    return record


def finish(book: Checkpoint, job: int, *, seconds: float = 10.0) -> Record:
    handle = Handle(f"request-{job}")
    end = 100.0 + seconds
    return play(
        book, job, Reserved(100.0, 40), Accepted(101.0, handle), Completed(end, OUTPUTS, 40), Saved(end, FILES)
    )  # fmt: skip


def names(records: Iterable[Record]) -> list[str]:
    return [record.job.name for record in records]


class BookSuite:
    """Subclasses give ``book``: an empty run of the factories' model."""

    # --- facts ---

    def test_facts_stand_until_others_are_put(self, book: Checkpoint) -> None:
        assert (book.model, book.get("source")) == (make_job().model, None)
        book.put("source", "one")
        book.put("source", "two")
        assert book.get("source") == "two"

    def test_each_change_of_the_cap_is_an_event_of_the_run(self, book: Checkpoint) -> None:
        assert book.cap is None
        assert [book.set_cap(cap, at) for cap, at in ((70, 1.0), (70, 2.0), (None, 3.0))] == [True, False, True]
        book.note("Odd", 4.0, {"job": 7})
        assert book.list_run_events() == [
            (1.0, "CapSet", {"before": None, "after": 70}),
            (3.0, "CapSet", {"before": 70, "after": None}),
            (4.0, "Odd", {"job": 7}),
        ]

    # --- intakes ---

    def test_an_intake_says_what_it_changed_and_wants_what_rows_ask_for_now(self, book: Checkpoint) -> None:
        assert take_in(book, [make_line(1), make_line(2)]) == IntakeReport(2, 0, 0, 0)
        assert take_in(book, [make_line(2), make_line(3)]) == IntakeReport(1, 1, 1, 0)
        assert [book.is_wanted(job) for job in (1, 2, 3, 4)] == [False, True, True, False]
        assert (book.counts().of(State.PLANNED), list(book.list_planned_ids()), book.count_to_buy()) == (2, [2, 3], 2)
        assert book.list_planned_keys() == [(2, make_job(2).key), (3, make_job(3).key)]
        assert names(book.read_records_in({State.PLANNED})) == ["job-1", "job-2", "job-3"]
        assert (book.get("fingerprint"), book.get("source")) == ("fingerprint", "/sheets/m.csv")

    def test_nothing_of_an_intake_counts_before_its_commit(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1)])
        intake = book.begin_intake()
        intake.add([make_line(2)])
        intake.abandon()
        assert [outcome.row for outcome in book.read_outcomes()] == [1]
        assert list(book.list_planned_ids()) == [1]
        assert take_in(book, [make_line(1), make_line(3)]).new == 1
        assert names(book.read_records_in({State.PLANNED})) == ["job-1", "job-3"]

    def test_a_limit_wants_the_first_jobs_and_a_twin_shares_one(self, book: Checkpoint) -> None:
        duplicate = ResultLine(row=2, id="t", job=make_job(1), name_hash=9, duplicate=True)
        take_in(book, [make_line(1), duplicate, make_line(3), make_line(4)], limit=2)
        assert names(book.read_records_in({State.PLANNED}, wanted=True)) == ["job-1", "job-3"]
        assert book.find_rows([1, 3]) == {1: [(1, "sku-1"), (2, "t")], 3: [(4, "sku-4")]}
        assert book.find_rows([]) == {}

    def test_the_rows_of_many_jobs_come_in_the_sheet_s_order(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 1_203)])
        wanted = list(range(1_201, 0, -1))
        assert list(book.find_rows(wanted).items()) == [(job, [(job, f"sku-{job}")]) for job in range(1, 1_202)]

    def test_keys_and_versions_of_before_are_known_and_how_their_jobs_stand(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2, name_hash=1, job=make_job(2, version=2)), make_line(3)])
        play(book, 3, Reserved(1.0, 1), Lost(2.0, PROBLEM))
        intake = book.begin_intake()
        intake.add([make_line(4)])
        known = intake.known
        state_of = book.state_of(known)
        assert [known.find(make_job(n).key) for n in range(1, 6)] == [1, 2, 3, None, None]
        assert [known.version(slot) for slot in (1, 3, 4)] == [2, 1, 0]
        assert [state_of(make_job(n).key) for n in (1, 3, 4)] == [State.PLANNED, State.IN_DOUBT, None]

    def test_a_job_whose_picture_moved_is_the_same_job_at_its_new_place(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2)])
        play(book, 2, Reserved(1.0, 1), Accepted(2.0, HANDLE))
        moved = [make_line(n, moves=True, job=make_job(n, inputs='{"image":"elsewhere"}')) for n in (1, 2)]
        assert take_in(book, moved).new == 0
        assert [r.job.inputs for r in book.read_records([1, 2])] == ['{"image":"elsewhere"}', make_job(2).inputs]

    def test_other_keys_of_a_job_are_kept_and_found(self, book: Checkpoint) -> None:
        signed = '{"image":["https://a/1.png?sig=1"]}'
        take_in(
            book,
            [make_line(1, job=make_job(1, inputs=signed)), make_line(2), make_line(3, job=make_job(3, inputs=signed))],
        )
        finish(book, 1)
        assert [(job.id, job.key) for job in book.list_signed_jobs()] == [(3, make_job(3).key), (1, make_job(1).key)]
        other = JobKey(b"o" * 16)
        book.keep_aliases({other: 2}, {"rules": "9"})
        assert (book.read_aliases(), book.get("rules"), book.read_known_jobs().find(other)) == ({other: 2}, "9", 2)
        assert book.read_known_jobs(()).find(other) is None

    # --- jobs ---

    def test_a_record_is_found_by_its_id_by_its_key_and_by_its_request(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 4)])
        play(book, 2, Reserved(1.0, 1), Accepted(2.0, HANDLE))
        for record in (book.record(2), book.find_record_of_key(make_job(2).key)):
            assert record is not None
            assert (record.id, record.state, record.handle, record.serial) == (2, State.WAITING, HANDLE, 2)
        assert (book.record(9), book.find_record_of_key(JobKey(b"x" * 16))) == (None, None)
        assert names(book.read_records([3, 9, 1])) == ["job-3", "job-1"]
        assert (book.find_owner("req-1"), book.find_job_of_request("req-1")) == ("job-2", 2)
        assert (book.find_owner("req-2"), book.find_job_of_request("req-2")) == (None, None)
        assert names(r for r in book.read_all_records() if isinstance(r, Record)) == ["job-1", "job-2", "job-3"]
        assert sorted(book.list_job_names()) == ["job-1", "job-2", "job-3"]
        assert book.read_name_hashes([1, 3]) == {1: 1, 3: 3}

    def test_what_a_run_has_of_a_job_for_another_run(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 6)])
        finish(book, 1)
        play(book, 2, Reused(1.0, HANDLE, FILES, "/runs/other"))
        play(book, 3, Reserved(1.0, 1), Lost(2.0, PROBLEM))
        play(book, 4, Reserved(1.0, 1), Refused(2.0, REFUSED))
        book.leave_jobs([(5, "/runs/other", "waiting")])
        by_availability = {having: sorted(job for _, job in book.read_keys(having)) for having in Availability}
        assert by_availability == {
            Availability.BOUGHT: [1], Availability.DONE: [1, 2],
            Availability.TO_BUY: [1, 2, 3, 4], Availability.UNDER_WAY: [3],
        }  # fmt: skip
        assert dict(book.read_keys(Availability.BOUGHT)) == {make_job(1).key: 1}

    def test_what_is_left_to_another_run_is_not_bought(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 4)])
        book.leave_jobs([(1, "/a", "waiting"), (2, "/b", "in_doubt")])
        assert (list(book.list_planned_ids()), book.count_to_buy()) == ([3], 1)
        assert book.count_left_to_others() == {("/a", "waiting"): 1, ("/b", "in_doubt"): 1}
        assert [job for job, _ in book.list_planned_keys()] == [1, 2, 3]
        book.leave_jobs([])
        assert (list(book.list_planned_ids()), book.count_left_to_others().total()) == ([1, 2, 3], 0)

    def test_the_job_that_an_edited_row_had_before(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2, name_hash=1, job=make_job(2, version=2)), make_line(3)])
        assert book.find_predecessors({1: 3, 3: 1, 7: 2}) == {1: (make_job(2).key, make_job(2).inputs)}
        assert book.find_predecessors({1: 2}) == {1: (make_job(1).key, make_job(1).inputs)}

    def test_a_file_that_another_job_has(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2)])
        finish(book, 1)
        assert [book.has_file("files/job-1.png", but) for but in (2, 1)] == [True, False]

    # --- changes ---

    def test_the_cap_has_no_say_in_what_was_bought_already(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1)])
        book.set_cap(10, 0.0)
        (record,) = book.read_records([1])
        event = Reserved(1.0, 40)
        with pytest.raises(BudgetReachedError):
            book.save_now(advance(record, event), event)
        assert book.save_now(advance(record, event), event, bought=True).state is State.SUBMITTING

    def test_several_changes_are_all_written_or_none(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 4)])
        records = [play(book, job, Reserved(1.0, 1)) for job in (1, 2, 3)]
        accepts, lost = [Accepted(2.0, Handle(f"req-{job}")) for job in (1, 2)], Lost(2.0, PROBLEM)
        with pytest.raises(KnownRequestError):
            book.save_all([(advance(r, e), e) for r, e in zip(records, [*accepts, accepts[0]], strict=True)])
        assert (book.counts().by_state, book.find_owner("req-1"), len(list(book.read_log()))) == (
            {State.SUBMITTING: 3},
            None,
            3,
        )
        with pytest.raises(StaleRecordError):
            book.save_all([(advance(records[0], lost), lost)] * 2)
        book.save_all([(advance(r, e), e) for r, e in zip(records[:2], accepts, strict=True)])
        assert book.counts().by_state == {State.SUBMITTING: 1, State.WAITING: 2}

    def test_rejected_pictures_are_bought_again_in_their_place(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2)])
        old = finish(book, 1)
        finish(book, 2)
        assert book.find_rejected() == []
        book.decisions.put(PictureDecision(1, Verdict.REJECT))
        assert [record.id for record in book.find_rejected()] == [1]
        line = make_line(1, job=make_job(7, version=2))
        assert book.add_repurchases([(old, line)]) == [3]
        assert (book.list_planned_repurchases(), list(book.list_planned_ids()), book.find_rejected()) == ([3], [3], [])
        assert [[shot.id for shot in card.versions] for card in book.read_gallery_rows()] == [[3, 1], [2]]
        assert book.find_rows([1, 3]) == {3: [(1, "sku-1")]}
        assert book.read_known_jobs().find(make_job(2).key) == 2
        take_in(book, [make_line(1), make_line(2)])
        assert [outcome.version for outcome in book.read_outcomes()] == [2, 1], (
            "the row that asks for it gets the newest"
        )

    def test_cards_come_in_pages_and_only_those_that_are_wanted(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 6)])
        for job in (2, 4, 5):
            finish(book, job)
        page = book.read_gallery_page(1, 2, lambda _, state: state == State.DONE)
        assert ([card.row for card in page.gallery_rows], page.following) == ([2, 4], 5)
        assert [
            card.row for card in book.read_gallery_page(5, 2, lambda _, state: state == State.DONE).gallery_rows
        ] == [5]
        assert book.read_gallery_page(5, 2, lambda *_: True).following is None
        assert book.read_gallery_page(1, 9, lambda *_: True).gallery_rows == tuple(book.read_gallery_rows())
        assert (book.find_line_of_row(3), book.find_line_of_row(6)) == (3, 0)

    def test_what_a_person_wants_anew_is_planned_until_it_is_bought(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2)])
        play(book, 1, Reserved(1.0, 1), Refused(2.0, REFUSED), RetryAsked(3.0))
        assert [record.id for record in book.list_planned_retries()] == [1]
        play(book, 1, Reserved(4.0, 1))
        assert book.list_planned_retries() == []

    # --- lines ---

    def test_a_line_of_the_results_tells_all_of_its_job(self, book: Checkpoint) -> None:
        no, out = (CellProblem("Image Src", None, "it is empty"),), (CellProblem(LEFT_OUT, "", "a gift card"),)
        take_in(
            book,
            [
                make_line(1, over='{"market":"fr"}'),
                InvalidLine(2, "b", no),
                InvalidLine(3, "c", out),
                make_line(4),
                make_line(5),
            ],
        )
        finish(book, 1)
        play(book, 2, Reserved(1.0, 70), Lost(2.0, PROBLEM))
        play(book, 3, Reused(1.0, HANDLE, FILES, "/runs/other"))
        book.keep_flags({1: "tiny"})
        book.decisions.put(PictureDecision(1, Verdict.APPROVE, "good"))
        one, two, three, four, five = book.read_outcomes()
        assert (one.state, one.cost, one.request_id, one.key, one.over) == (
            "done", 40, "request-1", make_job(1).key, '{"market":"fr"}'
        )  # fmt: skip
        assert one.files == '[["files/job-1.png","' + "ab" * 32 + '",1234,1024,768,"https://files.runcomfy.net/1.png"]]'
        assert (one.flags, one.decision, one.note, one.submitted_at, one.finished_at) == (
            "tiny", "approve", "good", 100.0, 110.0
        )  # fmt: skip
        assert (two.state, two.problems) == ("invalid", '[["Image Src","","it is empty"]]')
        assert three.state == "skipped"
        assert (four.state, four.kind, four.problem, four.cost) == ("in_doubt", "lost", "no answer", 70)
        assert (five.state, five.reused_from, five.cost) == ("done", "/runs/other", 0)
        assert [outcome.row for outcome in book.read_outcomes(4)] == [4, 5]

    def test_the_link_of_a_picture_that_is_no_file_yet(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1)])
        play(book, 1, Reserved(1.0, 1), Accepted(2.0, HANDLE), Completed(3.0, OUTPUTS, 1))
        assert [(outcome.url, outcome.files) for outcome in book.read_outcomes()] == [(OUTPUTS[0].url, "")]

    def test_the_answer_that_told_no_id_is_kept_as_long_as_the_job_is_in_doubt(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 4)])
        for job, reply in ((1, "HTTP 502 <html>"), (2, ""), (3, "HTTP 500")):
            play(book, job, Reserved(1.0, 1), Lost(2.0, PROBLEM, reply))
        play(book, 3, WrittenOff(3.0, "a person"))
        assert book.read_lost_replies() == {make_job(1).key: "HTTP 502 <html>"}

    def test_flags_are_replaced_as_a_whole(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2)])
        assert [book.keep_flags(flags) for flags in ({1: "tiny", 2: ""}, {1: "tiny"}, {2: "grey"})] == [
            True,
            False,
            True,
        ]
        assert book.read_flags() == {2: "grey"}

    def test_whatever_changes_a_line_changes_the_mark(self, book: Checkpoint) -> None:
        seen = [book.change_token()]
        for change in (
            lambda: take_in(book, [make_line(1)]),
            lambda: finish(book, 1),
            lambda: book.keep_flags({1: "tiny"}),
            lambda: book.decisions.put(PictureDecision(1, Verdict.REJECT)),
            lambda: book.add_repurchases([(book.read_records([1])[0], make_line(1, job=make_job(7, version=2)))]),
        ):
            change()
            seen.append(book.change_token())
        assert len(set(seen)) == len(seen)
        assert book.change_token() == seen[-1]

    # --- the log ---

    def test_the_log_tells_every_event_as_it_was(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1)])
        assert (book.has_bought(), book.find_last_event_time(), book.has_moved_since(0)) == (False, 0.0, False)
        events = (Reserved(1.0, 40), Accepted(2.0, HANDLE), Completed(3.0, OUTPUTS, 40), Saved(4.0, FILES))
        play(book, 1, *events)
        assert [logged.read() for logged in book.read_log()] == list(events)
        assert [(logged.seq, logged.job, logged.state) for logged in book.read_log()] == [
            (1, 1, "submitting"), (2, 1, "waiting"), (3, 1, "fetched"), (4, 1, "done"),
        ]  # fmt: skip
        assert (book.has_bought(), book.find_last_event_time()) == (True, 4.0)
        assert [book.has_moved_since(seq) for seq in (0, 3, 4)] == [True, True, False]
        assert (book.list_shared_requests(), book.list_doubled_jobs()) == (list[SharedRequest](), [])

    def test_a_post_that_was_refused_has_bought_nothing(self, book: Checkpoint) -> None:
        """A wrong token was taken for the one that the run was bought with, and the right one was refused."""
        take_in(book, [make_line(1), make_line(2)])
        play(book, 1, Reserved(1.0, 40))
        assert book.has_bought(), "it may be on its way"
        play(book, 1, Declined(2.0, Problem(Kind.AUTH, "no such token", 401)))
        assert not book.has_bought()
        play(book, 2, Reserved(3.0, 40), Lost(4.0, Problem(Kind.LOST, "no answer")))
        assert book.has_bought()

    def test_a_picture_of_another_run_is_no_purchase_and_moves_nothing(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1)])
        play(book, 1, Reused(1.0, HANDLE, FILES, "/runs/other"))
        assert (book.has_bought(), book.has_moved_since(0), book.money().spent) == (False, False, 0)

    # --- decisions ---

    def test_of_two_marks_of_one_job_the_second_is_told_of_the_first(self, book: Checkpoint) -> None:
        take_in(book, [make_line(1), make_line(2)])
        marks, first = book.decisions, PictureDecision(1, Verdict.APPROVE, "", 1, "Dana", 1.0)
        assert marks.put(PictureDecision(1, Verdict.APPROVE, "", 0, "Dana", 1.0)) == first
        assert marks.put(PictureDecision(1, Verdict.REJECT, "", 0, "Robin", 2.0)) == Conflict(first)
        marks.put(PictureDecision(2, Verdict.HOLD))
        assert (marks.all()[1], marks.last_seq()) == (first, 2)
        assert [(seq, [mark.job for mark in new]) for seq, new in map(marks.since, (0, 1, 2))] == [
            (2, [1, 2]), (2, [2]), (2, []),
        ]  # fmt: skip

    def test_an_import_leaves_out_what_is_older_than_what_stands(self, book: Checkpoint) -> None:
        take_in(book, [make_line(n) for n in range(1, 4)])
        marks = book.decisions
        marks.put(PictureDecision(1, Verdict.APPROVE, "", 0, "Dana", 9.0))
        marks.put(PictureDecision(2, Verdict.HOLD, "x", 0, "Dana", 9.0))
        verdicts = [(Verdict.REJECT, "", 5.0), (Verdict.HOLD, "x", 1.0), (Verdict.APPROVE, "new", 10.0)]
        decisions = [(job, ImportedDecision(make_job(job).key, *decision)) for job, decision in enumerate(verdicts, 1)]
        taken = marks.take_in(decisions, "Robin")
        assert (taken.written, taken.same, taken.older) == (1, 1, 1)
        assert [(event.job, event.via, event.who) for event in marks.events()][-1] == (3, "import", "Robin")

    # --- sums ---

    def test_an_empty_run_comes_to_nothing(self, book: Checkpoint) -> None:
        assert (book.summarise(), book.has_failures(), book.count_to_buy()) == (RunSummary(), False, 0)

    def test_what_a_run_came_to(self, book: Checkpoint) -> None:
        duplicate = ResultLine(row=9, id="twin", job=make_job(2), name_hash=99, duplicate=True)
        bad = InvalidLine(10, "x", (CellProblem("a", "", "is empty"),))
        take_in(book, [*(make_line(n) for n in range(1, 9)), duplicate, bad])
        for job in range(2, 5):
            play(book, job, Reserved(1.0, 1), Refused(2.0, REFUSED))
        play(book, 5, Reserved(1.0, 1), Refused(2.0, Problem(Kind.MODERATED, "not this")))
        play(book, 6, Reserved(1.0, 1), Lost(2.0, PROBLEM), WrittenOff(3.0, "a person"))
        for job, seconds in ((1, 5.0), (7, 8.0), (8, 20.0)):
            finish(book, job, seconds=seconds)
        summary = book.summarise()
        assert (summary.invalid, summary.moderated, summary.written_off) == (1, 1, 1)
        assert (summary.seconds_median, summary.seconds_p90) == (8.0, 27.2)
        rows = ((2, "sku-2"), (3, "sku-3"), (4, "sku-4"), (9, "twin"))
        assert summary.errors[0] == CommonError("refused", "no such size", 4, rows)
        assert book.has_failures()
