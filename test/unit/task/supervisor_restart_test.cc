#include <doctest/doctest.h>

#include "supervisor_trace.h"

namespace shoal::task {
namespace {

Supervisor::Options restarting(Restart restart = Restart::kOnFailure, Duration backlog_wait = {}) {
  return {.restart = restart, .backlog_wait = backlog_wait};
}

/// Until the next worker is started, at most so long.
Duration until_spawned(Trace& t, Duration most = 60s) {
  const Instant begun = t.now;
  while (t.supervisor.state() == State::kBackingOff && t.now - begun < most) {
    t.now = t.supervisor.next_deadline();
    t.supervisor.on_deadline(t.now, t.out);
    t.drain();
  }
  return t.now - begun;
}

}  // namespace

TEST_CASE("a worker that crashes is withdrawn at once and started anew at once; ready again it is announced again") {
  Trace t = serving(restarting());
  t.after(5s).exited(3);
  CHECK(t.take() == "withdraw, signal 9");
  CHECK(t.supervisor.state() == State::kBackingOff);
  CHECK(until_spawned(t) < 100ms);
  CHECK(t.take() == "spawn of 2");
  CHECK(t.supervisor.generation() == 2);
  t.started(2).after(1s).ready(2);
  CHECK(t.take() == "announce");
  CHECK(t.supervisor.is_serving());
  CHECK_FALSE(t.has_note(Note::Kind::kUnexpected));
}

TEST_CASE("what is left of a crashed worker's group is gone before the next one is started") {
  Trace t = serving(restarting());
  t.leader_exited(3).after(4s);
  CHECK(t.take() == "withdraw, signal 9");
  SUBCASE("when it is gone") {
    t.gone();
    until_spawned(t);
    CHECK(t.take() == "spawn of 2");
  }
  SUBCASE("or given up, when not even SIGKILL ends it") {
    t.after(1s);
    CHECK(t.has_note(Note::Kind::kGroupAbandoned));
    until_spawned(t);
    CHECK(t.take() == "spawn of 2");
    t.started(2).gone();  // Late; of nobody any more.
    CHECK(t.supervisor.state() == State::kStarting);
  }
}

TEST_CASE("the policy says which end is started anew") {
  struct Case {
    Restart restart;
    int status;
    bool again;
  };
  for (const Case& c :
       {Case{Restart::kNever, 0, false}, Case{Restart::kNever, 1, false}, Case{Restart::kOnFailure, 0, false},
        Case{Restart::kOnFailure, 1, true}, Case{Restart::kAlways, 0, true}, Case{Restart::kAlways, 1, true}}) {
    CAPTURE(static_cast<int>(c.restart));
    CAPTURE(c.status);
    Trace ready = serving(restarting(c.restart));
    ready.exited(c.status);
    CHECK((ready.supervisor.state() == State::kBackingOff) == c.again);
    Trace starting(restarting(c.restart));
    starting.start().started().exited(c.status);
    CHECK((starting.supervisor.state() == State::kBackingOff) == c.again);
    if (c.again) continue;
    ready.left();
    CHECK(ready.take() == "depart 0, close, signal 9, leave, exit " + std::to_string(c.status));
  }
  Trace killed = serving(restarting());
  killed.killed_by(9);
  CHECK(killed.supervisor.state() == State::kBackingOff);
}

TEST_CASE("a crashed worker stays announced for backlog_wait") {
  SUBCASE("and nobody hears of it when the new one is ready by then") {
    Trace t = serving(restarting(Restart::kOnFailure, 2s));
    t.exited(3);
    until_spawned(t);
    t.started(2).after(1500ms).ready(2);
    CHECK(t.take() == "signal 9, spawn of 2, announce");  // Saying what is said already changes nothing.
    t.after(10s);
    CHECK(t.take() == "");
  }
  SUBCASE("and is withdrawn when it is not") {
    Trace t = serving(restarting(Restart::kOnFailure, 2s));
    const Instant died = t.now;
    t.exited(3);
    until_spawned(t);
    t.started(2).after(died + 1999ms - t.now);
    CHECK(t.take() == "signal 9, spawn of 2");
    t.after(1ms);
    CHECK(t.take() == "withdraw");
    t.ready(2);
    CHECK(t.take() == "announce");
  }
  SUBCASE("counted from the first of several crashes, while it waits too") {
    Trace t = serving(restarting(Restart::kOnFailure, 2s));
    const Instant died = t.now;
    t.exited(3);
    until_spawned(t);
    t.started(2).after(700ms).exited(3, 2).take();
    CHECK(t.supervisor.state() == State::kBackingOff);  // For a second.
    t.after(died + 1999ms - t.now).started(t.newest);
    CHECK(t.take().find("withdraw") == std::string::npos);
    t.after(1ms);
    CHECK(t.take() == "withdraw");
  }
}

TEST_CASE("a crash loop backs off from 1 s to 30 s, and a minute of being ready begins it anew") {
  Trace t = serving(restarting());
  std::uint32_t generation = 1;
  t.exited(1);
  for (const Duration wanted : {Duration(50ms), Duration(1s), Duration(2s), Duration(4s), Duration(8s), Duration(16s),
                                Duration(30s), Duration(30s)}) {
    const Duration waited = until_spawned(t);
    CHECK(waited >= wanted * 3 / 4);
    CHECK(waited <= wanted * 5 / 4);
    ++generation;
    t.started(generation).ready(generation).after(1s).exited(1, generation);
  }
  until_spawned(t);
  ++generation;
  t.started(generation).ready(generation).after(60s).exited(1, generation);
  CHECK(until_spawned(t) < 100ms);
  CHECK(t.supervisor.restarts() == 10);
}

TEST_CASE("a worker that is not ready in time counts as crashed where there is a restart") {
  Trace t(restarting());
  t.start().started().after(60s);
  CHECK(t.take() == "spawn, signal 9");
  CHECK(t.has_note(Note::Kind::kNotReadyInTime));
  t.killed_by(kKill);
  CHECK(until_spawned(t) < 100ms);
  // A minute that it was not ready in is no minute up.
  t.started(2).after(60s).killed_by(kKill, 2);
  CHECK(until_spawned(t) > 500ms);
  CHECK(t.exits == 0);
}

TEST_CASE("a program that is not there ends the task at the first start, and is tried again later") {
  Trace first(restarting(Restart::kAlways));
  first.start().not_started(127).left();
  CHECK(first.take() == "spawn, close, leave, exit 127");
  Trace later = serving(restarting(Restart::kAlways));
  later.exited(1);
  until_spawned(later);
  later.not_started(127, 2);
  CHECK(later.supervisor.state() == State::kBackingOff);
  CHECK(until_spawned(later) > 500ms);
  CHECK(later.take() == "withdraw, signal 9, spawn of 2, spawn of 3");
}

TEST_CASE("a stop is honoured in each state of a restart, inside the one budget") {
  SUBCASE("while it waits: stopped as asked, whatever the last worker ended with") {
    Trace t = serving(restarting());
    t.exited(3).take();
    t.stop();
    CHECK(t.take() == "depart 0, close, leave");
    t.left();
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("while the new one starts") {
    Trace t = serving(restarting());
    t.exited(3);
    until_spawned(t);
    t.started(2).take();
    t.stop();
    CHECK(t.take() == "depart 0, close, signal 15 of 2, leave");
    t.killed_by(kTerm, 2).left();
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("while the rest of the old one is being killed") {
    Trace t = serving(restarting());
    t.leader_exited(3).take();
    t.stop();
    CHECK(t.take() == "depart 0, close, leave");
    t.left();
    CHECK(t.take() == "");
    t.gone();
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("while an unhealthy one ends") {
    Trace t = serving();
    t.unhealthy().replace().all_drained().take();
    t.stop();
    CHECK(t.take() == "depart 0, close, leave");  // It has been told to stop.
    t.after(24'999ms);
    CHECK(t.take() == "");
    t.after(1ms);
    CHECK(t.take() == "signal 9");
  }
  SUBCASE("while an unhealthy one still has requests in flight") {
    Trace t = serving();
    t.replace().take();
    t.stop();
    CHECK(t.take() == "depart 20000");
    t.all_drained();
    CHECK(t.take() == "close, signal 15, leave");
  }
}

TEST_CASE("an unhealthy worker is withdrawn and goes on; healthy, it returns") {
  Trace t = serving();
  t.unhealthy().unhealthy();
  CHECK(t.take() == "unready");
  CHECK(t.supervisor.has_ready_worker());
  CHECK_FALSE(t.supervisor.is_serving());
  t.healthy().healthy();
  CHECK(t.take() == "announce");
  t.unhealthy().stop();
  CHECK(t.take() == "unready, depart 20000");
  Trace crashed = serving(restarting());
  crashed.unhealthy().exited(1);
  CHECK(crashed.take() == "unready, withdraw, signal 9");
  Trace patient = serving(restarting(Restart::kOnFailure, 2s));  // Clients wait for a healthy one's successor only.
  patient.unhealthy().exited(1);
  CHECK(patient.take() == "unready, withdraw, signal 9");
  // What health says of a worker that is not ready is nothing new.
  Trace starting;
  starting.start().started().unhealthy().healthy().replace();
  CHECK(starting.take() == "spawn");
}

TEST_CASE(
    "a worker that is to be replaced finishes what it has, is told to stop, killed if need be, and started anew") {
  SUBCASE("when it is drained") {
    Trace t = serving();
    t.replace();
    CHECK(t.take() == "withdraw");
    t.after(1s).all_drained();
    CHECK(t.take() == "signal 15");
    t.exited(0);
    until_spawned(t);
    CHECK(t.take() == "spawn of 2");  // Although the policy is never.
    t.started(2).ready(2);
    CHECK(t.take() == "announce");
  }
  SUBCASE("after 5 s when it does not get empty") {
    Trace t = serving();
    t.replace().after(4999ms);
    CHECK(t.take() == "withdraw");
    t.after(1ms);
    CHECK(t.take() == "signal 15");
    t.after(24'999ms);
    CHECK(t.take() == "");
    t.after(1ms);
    CHECK(t.take() == "signal 9");
  }
  SUBCASE("at once when it is empty already") {
    Trace t = serving();
    t.renew().started(2).replace().all_drained().exited(1, 2);  // The renewal that was to replace it failed.
    CHECK(t.take() == "spawn of 2, withdraw, signal 9 of 2");
    t.replace();
    CHECK(t.take() == "signal 15");
  }
  SUBCASE("when its leader goes first, the rest has the rest of the time") {
    Trace t = serving();
    t.unhealthy().replace().all_drained().after(1s).leader_exited(0).take();
    t.after(23'999ms);
    CHECK(t.take() == "");
    t.after(1ms);
    CHECK(t.take() == "signal 9");
  }
  SUBCASE("when it dies before it is told, the rest goes with it") {
    Trace t = serving();
    t.replace().leader_exited(1);
    CHECK(t.take() == "withdraw, signal 9");
  }
  SUBCASE("not before a renewal that is under way") {
    Trace t = serving();
    t.renew().started(2).take();
    t.replace();
    CHECK(t.take() == "withdraw");
    CHECK(t.supervisor.state() == State::kUnhealthy);
    t.ready(2).exited(0).after(100ms);
    CHECK(t.take() == "signal 15, announce");
  }
}

TEST_CASE("when the leader ends first in a stop, the rest of its group has until SIGKILL") {
  Trace t = serving();
  t.stop().all_drained().left().leader_exited(0).take();
  t.after(24'999ms);
  CHECK(t.take() == "");
  t.after(1ms);
  CHECK(t.take() == "signal 9");
  t.gone();
  CHECK(t.take() == "exit 0");
}

TEST_CASE("the stop signal goes to the leader alone where its children are its own business; SIGKILL never") {
  Trace t = serving({.signals_leader_only = true});
  t.forward(10).stop().all_drained().after(25s);
  CHECK(t.take() == "signal to leader 10, depart 20000, close, signal to leader 15, leave, signal 9");
  Trace renewed = serving({.signals_leader_only = true});
  renewed.renew().started(2).ready(2).aside().all_drained().after(25s);
  CHECK(renewed.take() == "spawn of 2, unready, withdraw, signal to leader 15, announce, signal 9");
}

}  // namespace shoal::task
