#include <doctest/doctest.h>

#include <iterator>

#include "supervisor_trace.h"

namespace shoal::task {

TEST_CASE("the table has a cell for each event in each state") { CHECK(Supervisor::table_is_complete()); }

TEST_CASE("the whole table: where each event leads from each state") {
  // S = spawning, s = starting, R = ready, U = unhealthy, C = changing, E = ending, B = backing off, D = draining, F =
  // leaving first, P = stopping, K = killing, L = leaving, X = done, I = idle; a dot means that the state stays.
  constexpr char kLetters[] = "ISsRUCEBDFPKLX";
  struct Line {
    State from;
    const char* lone;     // start, worker: started, not started, ready, exited, gone
    const char* other;    // the other one: gone, ready; aside
    const char* wishes;   // unhealthy, healthy, replace, renew
    const char* stop;     // stop, fast
    const char* answers;  // drained, unconfirmed, left, signal
  };
  constexpr Line kTable[] = {
      {State::kIdle, "S.....", "...", "....", "LL", "...."},
      {State::kSpawning, ".sL.K.", "...", "....", "PP", "...."},
      {State::kStarting, "..LRK.", "...", "....", "PP", "...."},
      {State::kReady, "....K.", "...", "U.E.", "DP", "...."},
      {State::kUnhealthy, "....K.", "...", ".RE.", "DP", "...."},
      {State::kChanging, "....R.", "R..", "R.R.", "DP", "RR.."},
      {State::kEnding, "..B..B", "...", "....", "DP", "...."},
      {State::kBackingOff, "......", "...", "...S", "LL", "...."},
      {State::kDraining, "....K.", "...", "....", "PP", "PF.."},
      {State::kLeavingFirst, "....K.", "...", "....", "PP", "P..."},
      {State::kStopping, "..L..L", "...", "....", "..", "...."},
      {State::kKilling, "..X..X", "...", "....", "..", "...."},
      {State::kLeaving, "......", "...", "....", "..", "..X."},
      {State::kDone, "......", "...", "....", "..", "...."},
  };
  static_assert(std::size(kTable) == static_cast<std::size_t>(State::kCount));
  for (const Line& line : kTable) {
    std::size_t e = 0;
    for (const char* part : {line.lone, line.other, line.wishes, line.stop, line.answers}) {
      for (; *part != '\0'; ++part, ++e) {
        CAPTURE(index_of(line.from));
        CAPTURE(e);
        Trace t;
        bring_to(t, line.from);
        REQUIRE(t.supervisor.state() == line.from);
        REQUIRE(give(t, static_cast<Event>(e)));
        const char expected = *part == '.' ? kLetters[index_of(line.from)] : *part;
        CHECK(kLetters[index_of(t.supervisor.state())] == expected);
      }
    }
    CHECK(e == static_cast<std::size_t>(Event::kReadyTimeout));
  }
}

TEST_CASE("nothing that a renewal does is unexpected in any state that it can reach") {
  for (const State from : {State::kReady, State::kUnhealthy}) {
    for (std::size_t first = 0; first < static_cast<std::size_t>(Event::kReadyTimeout); ++first) {
      for (const Event second : {Event::kNewReady, Event::kOtherGone}) {
        const auto event = static_cast<Event>(first);
        if (event == Event::kStart || event == Event::kWorkerStarted || event == Event::kWorkerNotStarted ||
            event == Event::kWorkerGone || event == Event::kAside || event == Event::kLeft) {
          continue;  // These do not happen there.
        }
        CAPTURE(first);
        Trace t;
        bring_to(t, from);
        t.renew().started(2);
        give(t, event);
        give(t, second);
        CHECK_FALSE(t.has_note(Note::Kind::kUnexpected));
      }
    }
  }
}

TEST_CASE("whatever happens in whatever order, a stop ends within its budget, once") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const Duration drain_timeout = std::chrono::seconds(1 + static_cast<int>(rng.below(std::uint64_t{40})));
    Trace t({.drain_timeout = drain_timeout,
             .restart = static_cast<Restart>(rng.below(std::uint64_t{3})),
             .backlog_wait = rng.below(Duration(4s))});
    const auto from = static_cast<State>(rng.below(static_cast<std::uint64_t>(State::kDone)));
    bring_to(t, from);
    t.take();
    for (int step = 0; step < 60 && t.exits == 0; ++step) {
      t.after(rng.below(Duration(3s)));
      if (t.exits > 0) break;
      auto event = static_cast<Event>(rng.below(static_cast<std::uint64_t>(Event::kReadyTimeout)));
      if (step == 40) event = Event::kStop;
      give(t, event);
      // The newest generation starts, gets ready and dies like the first.
      const auto newest = t.newest;
      if (rng.one_in(2)) t.started(newest);
      if (rng.one_in(3)) t.ready(newest);
      if (rng.one_in(6)) t.exited(static_cast<int>(rng.below(std::uint64_t{2})), newest);
    }
    t.stop().after(stop_budget(drain_timeout, 30s).total);
    CHECK(t.exits == 1);
    CHECK(t.exit_at - t.stop_began <= stop_budget(drain_timeout, 30s).total);
    CHECK(t.supervisor.state() == State::kDone);
    CHECK(t.supervisor.next_deadline() == kNever);
  }
}

TEST_CASE("from every state a stop alone ends within the budget although nobody answers any more") {
  for (const bool with_renewal : {false, true}) {
    for (std::size_t s = 0; s < index_of(State::kDone); ++s) {
      CAPTURE(s);
      Trace t;
      bring_to(t, static_cast<State>(s));
      if (with_renewal) t.renew().started(t.newest);
      t.stop();
      const Instant began = t.now;
      while (t.exits == 0 && t.supervisor.next_deadline() != kNever) {
        t.now = t.supervisor.next_deadline();
        t.supervisor.on_deadline(t.now, t.out);
        t.drain();
      }
      CHECK(t.exits == 1);
      CHECK(t.now - began <= 28s);
    }
  }
}

}  // namespace shoal::task
