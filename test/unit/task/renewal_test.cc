#include "task/renewal.h"

#include <doctest/doctest.h>

#include "supervisor_trace.h"

namespace shoal::task {
namespace {

Trace renewing(const Supervisor::Options& options = {}) {
  Trace t = serving(options);
  t.after(60s).renew();
  CHECK(t.take() == "spawn of 2");
  return t;
}

}  // namespace

TEST_CASE("a new generation that is ready takes over when nothing is sent to the old one any more") {
  Trace t = renewing();
  t.started(2).after(3s);
  CHECK(t.take() == "");
  CHECK(t.supervisor.generation() == 1);
  t.ready(2);
  CHECK(t.take() == "unready");
  CHECK(t.supervisor.generation() == 1);
  CHECK(t.supervisor.has_ready_worker());
  t.after(20ms).aside();
  CHECK(t.take() == "withdraw");
  t.after(20ms).aside().all_drained();
  CHECK(t.take() == "signal 15");
  CHECK(t.supervisor.generation() == 2);
  CHECK_FALSE(t.supervisor.is_serving());
  t.after(50ms).exited(0).after(99ms);
  CHECK(t.take() == "");
  t.after(1ms);  // HAProxy has seen that the old one's connections are closed.
  CHECK(t.take() == "announce");
  CHECK(t.supervisor.is_serving());
  CHECK(t.supervisor.next_deadline() == kNever);
  t.stop().all_drained().killed_by(kTerm, 2).left();
  CHECK(t.take() == "depart 20000, close, signal 15 of 2, leave, exit 0");
  CHECK_FALSE(t.has_note(Note::Kind::kUnexpected));
}

TEST_CASE("neither sidecars nor a slow old generation keep the new one out of rotation for long") {
  Trace t = renewing();
  t.started(2).ready(2).after(999ms);
  CHECK(t.take() == "unready");
  t.after(1ms);  // The pool has nobody else, or no sidecar answers.
  CHECK(t.take() == "signal 15");
  t.after(999ms);
  CHECK(t.take() == "");
  t.after(1ms);
  CHECK(t.take() == "announce");
  CHECK(t.supervisor.is_serving());
  t.exited(0);
  CHECK(t.take() == "");
}

TEST_CASE("a new generation that is ready in time is not given up while the change takes longer") {
  Trace t = renewing();
  t.started(2).after(59s).ready(2).aside().after(4s);
  CHECK(t.take() == "unready, withdraw");
  t.all_drained();
  CHECK(t.take() == "signal 15");
  CHECK(t.supervisor.generation() == 2);
}

TEST_CASE("a request that takes long keeps the new one out of rotation for 5 s at most") {
  Trace t = renewing();
  t.started(2).ready(2).aside().after(4999ms);
  CHECK(t.take() == "unready, withdraw");
  t.after(1ms);
  CHECK(t.take() == "signal 15");
  t.after(1s);
  CHECK(t.take() == "announce");
}

TEST_CASE("what ends during the change") {
  SUBCASE("the old one: the new one serves, whatever the restart policy") {
    Trace t = renewing();
    t.started(2).ready(2).take();
    t.leader_exited(3);
    CHECK(t.take() == "signal 9");
    t.gone().after(100ms);
    CHECK(t.take() == "announce");
    CHECK(t.supervisor.generation() == 2);
    CHECK(t.exits == 0);
  }
  SUBCASE("the new one: the old one goes on") {
    Trace t = renewing();
    t.started(2).ready(2).take();
    t.exited(3, 2);
    CHECK(t.take() == "signal 9 of 2, announce");
    CHECK(t.supervisor.generation() == 1);
    CHECK(t.supervisor.is_serving());
  }
  SUBCASE("the new one, and somebody of its group lives on") {
    Trace t = renewing();
    t.started(2).ready(2).leader_exited(3, 2).take();
    t.aside().all_drained();
    CHECK(t.take() == "withdraw, announce");
    CHECK(t.supervisor.generation() == 1);
  }
  SUBCASE("the task") {
    Trace t = renewing();
    t.started(2).ready(2).take();
    t.stop();
    CHECK(t.take() == "signal 15 of 2, depart 20000");
  }
  SUBCASE("the new one, after the change and before the return") {
    Trace t = renewing({.restart = Restart::kAlways});
    t.started(2).ready(2).aside().all_drained().take();
    t.exited(3, 2);
    CHECK(t.take() == "signal 9 of 2");  // It is withdrawn.
    t.exited(0).after(100ms);
    CHECK(t.take() == "spawn of 3");
  }
  SUBCASE("the old one's health: it is replaced at once") {
    Trace t = renewing();
    t.started(2).ready(2).take();
    t.unhealthy();
    CHECK(t.take() == "signal 15");
  }
}

TEST_CASE("an old generation that does not end gets SIGKILL after the stop's time for it, and is given up in the end") {
  Trace t = renewing();
  t.started(2).ready(2).aside().all_drained().take();
  t.after(24'999ms);
  CHECK(t.take() == "announce");
  t.after(1ms);
  CHECK(t.take() == "signal 9");
  t.after(5s);
  CHECK(t.has_note(Note::Kind::kGroupAbandoned));
  CHECK(t.supervisor.next_deadline() == kNever);
  t.exited(0);  // After all.
  CHECK(t.supervisor.is_serving());
  CHECK(t.take() == "");
}

TEST_CASE("an old leader that has exited leaves the rest of its group the rest of the time") {
  Trace t = renewing();
  t.started(2).ready(2).aside().all_drained().after(1s).leader_exited(0).take();
  t.after(23'999ms);
  CHECK(t.take() == "");
  t.after(1ms);
  CHECK(t.take() == "signal 9");
}

TEST_CASE("a new generation that fails changes nothing") {
  SUBCASE("not executed") {
    Trace t = renewing();
    t.not_started(127, 2);
    CHECK(t.has_note(Note::Kind::kNewNotStarted));
    CHECK(t.take() == "");
    CHECK(t.supervisor.is_serving());
    CHECK(t.supervisor.generation() == 1);
  }
  SUBCASE("exited") {
    Trace t = renewing();
    t.started(2).exited(3, 2);
    CHECK(t.take() == "signal 9 of 2");  // What is left of its group.
    CHECK(t.has_note(Note::Kind::kNewExited));
    CHECK(t.supervisor.is_serving());
  }
  SUBCASE("not ready in time") {
    Trace t = renewing();
    t.started(2).after(59'999ms);
    CHECK(t.take() == "");
    t.after(1ms);
    CHECK(t.take() == "signal 9 of 2");
    CHECK(t.has_note(Note::Kind::kNewNotReady));
    t.ready(2);  // Too late.
    CHECK(t.take() == "");
    CHECK(t.supervisor.generation() == 1);
  }
  SUBCASE("and the next try may succeed") {
    Trace t = renewing();
    t.started(2).exited(3, 2).take();
    t.renew().started(3).ready(3).aside().all_drained();
    CHECK(t.take() == "spawn of 3, unready, withdraw, signal 15");
    CHECK(t.supervisor.generation() == 3);
  }
}

TEST_CASE("a second request during a renewal is remembered, once") {
  SUBCASE("until the old generation is gone") {
    Trace t = renewing();
    t.renew().renew().started(2).renew().ready(2).renew().aside().all_drained();
    CHECK(t.take() == "unready, withdraw, signal 15");
    t.exited(0).after(100ms);
    CHECK(t.take() == "announce, spawn of 3");
    t.started(3).ready(3).aside().all_drained().exited(0, 2).after(100ms);
    CHECK(t.take() == "unready, withdraw, signal 15 of 2, announce");
  }
  SUBCASE("until the new one has failed") {
    Trace t = renewing();
    t.renew().not_started(127, 2);
    CHECK(t.take() == "spawn of 3");
  }
  SUBCASE("while the first worker starts, until it is ready") {
    Trace t;
    t.start().started().renew();
    CHECK(t.take() == "spawn");
    t.ready();
    CHECK(t.take() == "announce, spawn of 2");
  }
}

TEST_CASE("a renewal while a restart waits is that start, at once") {
  Trace t = serving({.restart = Restart::kAlways});
  for (std::uint32_t g = 1; g < 4; ++g) {
    t.exited(1, g);
    if (g < 3) t.after(10s).started(g + 1);
  }
  t.take();
  REQUIRE(t.supervisor.state() == State::kBackingOff);
  t.renew();
  CHECK(t.take() == "spawn of 4");
  t.started(4).ready(4);
  CHECK(t.take() == "announce");
}

TEST_CASE("the serving worker's end during a renewal") {
  SUBCASE("is the task's where nothing is restarted; both generations end") {
    Trace t = renewing();
    t.started(2).exited(3);
    CHECK(t.take() == "signal 15 of 2, depart 0, close, signal 9, leave");
    t.left();
    CHECK(t.take() == "");
    t.exited(0, 2);
    CHECK(t.take() == "exit 3");
  }
  SUBCASE("makes the new one the only one where it would be restarted") {
    Trace t = renewing({.restart = Restart::kOnFailure});
    t.started(2).leader_exited(3);
    CHECK(t.take() == "withdraw, signal 9");
    CHECK(t.supervisor.state() == State::kStarting);
    t.gone().after(1s).ready(2);
    CHECK(t.take() == "announce");
    CHECK(t.supervisor.generation() == 2);
  }
  SUBCASE("and that one's ready_timeout goes on") {
    Trace t = renewing({.restart = Restart::kOnFailure});
    t.started(2).after(40s).exited(3).take();
    t.after(19'999ms);
    CHECK(t.take() == "");
    t.after(1ms);
    CHECK(t.take() == "signal 9 of 2");
  }
}

TEST_CASE("with restart = never the old generation's end is nothing, the present one's is the task's") {
  Trace t = renewing();
  t.started(2).ready(2).aside().all_drained().exited(7).take();
  CHECK(t.exits == 0);
  t.exited(5, 2).left();
  CHECK(t.take() == "depart 0, close, signal 9 of 2, leave, exit 5");
}

TEST_CASE("a new generation brings an unhealthy task back") {
  Trace t = serving();
  t.unhealthy().renew().started(2).ready(2);
  CHECK(t.take() == "unready, spawn of 2, signal 15");
  t.exited(0).after(100ms);
  CHECK(t.take() == "announce");
  CHECK(t.supervisor.is_serving());
}

TEST_CASE("a stop during a renewal stops both generations inside the budget") {
  SUBCASE("while the new one starts: it is told at once, the serving one when it is drained") {
    Trace t = renewing();
    t.started(2).stop();
    CHECK(t.take() == "signal 15 of 2, depart 20000");
    t.after(1s).all_drained();
    CHECK(t.take() == "close, signal 15, leave");
    t.exited(0).left();
    CHECK(t.take() == "");
    t.after(24s - 1ms);
    CHECK(t.take() == "");
    t.after(1ms);
    CHECK(t.take() == "signal 9 of 2");
    t.killed_by(kKill, 2);
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("while the old one ends: it has no more than the stop has") {
    Trace t = renewing({.drain_timeout = 10s});
    t.started(2).ready(2).aside().all_drained().after(3s).take();
    t.stop();
    CHECK(t.take() == "depart 6000");
    t.after(5s);  // Told 8 s ago.
    CHECK(t.take() == "signal 9");
    t.exited(0).after(1s).exited(0, 2);
  }
  SUBCASE("the last one to go ends it") {
    Trace t = renewing();
    t.started(2).ready(2).aside().all_drained().stop().all_drained().left().exited(0, 2).take();
    CHECK(t.exits == 0);
    t.exited(0);
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("nothing is renewed any more") {
    Trace t = renewing();
    t.renew().started(2).stop().renew().exited(0, 2).take();
    t.all_drained().exited(0).left();
    CHECK(t.take() == "close, signal 15, leave, exit 0");
  }
}

TEST_CASE("signals are passed on to both generations") {
  Trace t = renewing();
  t.forward(10);
  CHECK(t.take() == "signal 10");
  t.started(2).forward(10);
  CHECK(t.take() == "signal 10, signal 10 of 2");
}

}  // namespace shoal::task
