#include "task/supervisor.h"

#include <doctest/doctest.h>

#include "supervisor_trace.h"

namespace shoal::task {

TEST_CASE("the budget is the smaller of both settings, and its parts follow from it") {
  const StopBudget usual = stop_budget(30s, 30s);
  CHECK(usual.total == 28s);
  CHECK(usual.drain_share == 20s);  // All but 8 s.
  CHECK(usual.kill_at == 25s);      // 3 s before the end.
  const StopBudget small = stop_budget(10s, 30s);
  CHECK(small.total == 10s);
  CHECK(small.drain_share == 6s);  // 60 %.
  CHECK(small.kill_at == 8s);      // 20 % before the end.
  const StopBudget fargate = stop_budget(300s, 120s);
  CHECK(fargate.total == 118s);
  CHECK(fargate.drain_share == 110s);
  for (Duration d = 0s; d < 40s; d += 100ms) {
    const StopBudget b = stop_budget(d, 30s);
    CHECK(b.drain_share > 0s);
    CHECK(b.drain_share <= b.kill_at);
    CHECK(b.kill_at < b.total);
  }
}

TEST_CASE("a task lives from spawn to exit without a hitch") {
  Trace t = serving();
  t.after(60s).stop();
  CHECK(t.take() == "depart 20000");
  t.after(300ms).all_drained();
  CHECK(t.take() == "close, signal 15, leave");
  t.after(100ms).exited(0);
  CHECK(t.take() == "");
  t.after(50ms).left();
  CHECK(t.take() == "exit 0");
  CHECK(t.supervisor.next_deadline() == kNever);
  CHECK_FALSE(t.has_note(Note::Kind::kUnexpected));
}

TEST_CASE("the worker is announced only when it is ready, and only once") {
  Trace t;
  t.start().started();
  CHECK(t.take() == "spawn");
  t.after(5s).ready().ready();
  CHECK(t.take() == "announce");
}

TEST_CASE("the leave may end before the worker") {
  Trace t = serving();
  t.stop().all_drained().left();
  CHECK(t.take() == "depart 20000, close, signal 15, leave");
  t.after(1s).exited(3);
  CHECK(t.take() == "exit 3");
}

TEST_CASE("a sidecar that never says drained gets the leave first and a second before the stop signal") {
  SUBCASE("when the announcer has given up on it") {
    Trace t = serving();
    t.stop().after(2s).all_drained(false);
    CHECK(t.take() == "depart 20000, leave");
    t.after(999ms);
    CHECK(t.take() == "");
    t.after(1ms);
    CHECK(t.take() == "close, signal 15");
  }
  SUBCASE("when the drain's share is used up") {
    Trace t = serving();
    t.stop().after(19'999ms);
    CHECK(t.take() == "depart 20000");
    t.after(1ms);
    CHECK(t.take() == "leave");
    CHECK(t.has_note(Note::Kind::kDrainCutShort));
    t.after(1s);
    CHECK(t.take() == "close, signal 15");
  }
  SUBCASE("cut short by the confirmation after all") {
    Trace t = serving();
    t.stop().after(20s).after(100ms).all_drained();
    CHECK(t.take() == "depart 20000, leave, close, signal 15");
  }
  SUBCASE("with half of what is left where that is less than a second") {
    Trace t = serving({.drain_timeout = 2s});
    t.stop().after(1200ms);  // Killed at 1.6 s.
    CHECK(t.take() == "depart 1200, leave");
    t.after(200ms);
    CHECK(t.take() == "close, signal 15");
  }
}

TEST_CASE("a worker that does not stop is killed 3 s before the budget ends") {
  Trace t = serving();
  t.stop().all_drained().left().take();
  t.after(24'999ms);
  CHECK(t.take() == "");
  t.after(1ms);
  CHECK(t.take() == "signal 9");
  t.killed_by(kKill);
  CHECK(t.take() == "exit 137");
  CHECK(t.has_note(Note::Kind::kWorkerKilled));
}

TEST_CASE("a worker that not even SIGKILL ends is abandoned at the budget's end") {
  Trace t = serving();
  t.stop().all_drained().left().after(25s).take();
  t.after(3s);
  CHECK(t.take() == "exit 137");
  CHECK(t.has_note(Note::Kind::kWorkerAbandoned));
}

TEST_CASE("a leave takes two seconds at most") {
  Trace t = serving();
  t.stop().all_drained().exited(0).take();
  t.after(1999ms);
  CHECK(t.take() == "");
  t.after(1ms);
  CHECK(t.take() == "exit 0");
  CHECK(t.has_note(Note::Kind::kLeaveCutShort));
}

TEST_CASE("a leave is cut by the budget's end") {
  Trace t = serving({.drain_timeout = 10s});
  t.stop().all_drained(false).take();
  // The worker dies late, of SIGKILL; the leave was over long before.
  t.after(8s).killed_by(kKill);
  CHECK(t.take() == "close, signal 15, signal 9, exit 137");

  Trace late;
  late.start().started();
  late.supervisor.on_stop_signal(late.now, false, late.out);
  late.drain();
  CHECK(late.supervisor.next_deadline() == late.now + 2s);
  Trace tiny({.drain_timeout = 1s});
  tiny.start().started().stop().exited(0);
  tiny.after(1s);
  CHECK(tiny.take() == "spawn, close, signal 15, leave, exit 0");
}

TEST_CASE("a second stop request, or a fast one, leaves out the drain") {
  SUBCASE("second SIGTERM") {
    Trace t = serving();
    t.stop().after(100ms).stop();
    CHECK(t.take() == "depart 20000, close, signal 15, leave");
  }
  SUBCASE("SIGQUIT after SIGTERM") {
    Trace t = serving();
    t.stop().after(100ms).stop(true);
    CHECK(t.take() == "depart 20000, close, signal 15, leave");
  }
  SUBCASE("SIGQUIT alone still departs") {
    Trace t = serving();
    t.stop(true);
    CHECK(t.take() == "depart 0, close, signal 15, leave");
  }
  SUBCASE("second SIGTERM while the leave goes first") {
    Trace t = serving();
    t.stop().all_drained(false).stop();
    CHECK(t.take() == "depart 20000, leave, close, signal 15");
  }
}

TEST_CASE("a worker that dies by itself is departed and left at once, with its own status") {
  SUBCASE("exit status") {
    Trace t = serving();
    t.after(5s).exited(3);
    CHECK(t.take() == "depart 0, close, signal 9, leave");
    t.left();
    CHECK(t.take() == "exit 3");
  }
  SUBCASE("signal") {
    Trace t = serving();
    t.killed_by(11).left();
    CHECK(t.take() == "depart 0, close, signal 9, leave, exit 139");
  }
  SUBCASE("SIGTERM from somebody else is no success") {
    Trace t = serving();
    t.killed_by(kTerm).left();
    CHECK(t.take() == "depart 0, close, signal 9, leave, exit 143");
  }
  SUBCASE("but is one when the whole container was told to stop and the worker was quicker") {
    Trace t = serving();
    t.killed_by(kTerm).stop().left();
    CHECK(t.take() == "depart 0, close, signal 9, leave, exit 0");
  }
  SUBCASE("before it was ready: nothing to depart from") {
    Trace t;
    t.start().started().exited(1);
    CHECK(t.take() == "spawn, close, signal 9, leave");
    t.left();
    CHECK(t.take() == "exit 1");
  }
  SUBCASE("while draining: the depart is out already") {
    Trace t = serving();
    t.stop().after(1s).exited(1);
    CHECK(t.take() == "depart 20000, close, signal 9, leave");
  }
  SUBCASE("while the leave goes first") {
    Trace t = serving();
    t.stop().all_drained(false).exited(0);
    CHECK(t.take() == "depart 20000, leave, close, signal 9");
    t.left();
    CHECK(t.take() == "exit 0");
  }
}

TEST_CASE("143 after a requested stop becomes 0, and so does death by another stop signal") {
  Trace t = serving();
  t.stop().all_drained().killed_by(kTerm).left();
  CHECK(t.take() == "depart 20000, close, signal 15, leave, exit 0");
  Trace nginx = serving({.stop_signal = 3});
  nginx.stop().all_drained().killed_by(3).left();
  CHECK(nginx.take() == "depart 20000, close, signal 3, leave, exit 0");
  Trace code = serving();
  code.stop().all_drained().exited(143).left();
  CHECK(code.take() == "depart 20000, close, signal 15, leave, exit 0");
}

TEST_CASE("a stop is honoured before anything has been announced, and nothing is waited for") {
  SUBCASE("before the start") {
    Trace t;
    t.stop();
    CHECK(t.take() == "close, leave");
    t.left();
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("while the worker is being started") {
    Trace t;
    t.start().stop();
    CHECK(t.take() == "spawn, close, leave");
    t.started();
    CHECK(t.take() == "signal 15");
    t.left().killed_by(kTerm);
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("while it is not ready") {
    Trace t;
    t.start().started().stop();
    CHECK(t.take() == "spawn, close, signal 15, leave");
  }
}

TEST_CASE("a worker that cannot be executed ends the task with 126 or 127") {
  SUBCASE("told by the pipe, then by the child's exit") {
    Trace t;
    t.start().started().not_started(127).exited(127).left();
    CHECK(t.take() == "spawn, close, leave, exit 127");
  }
  SUBCASE("the other way round") {
    Trace t;
    t.start().started().exited(126).not_started(126).left();
    CHECK(t.take() == "spawn, close, signal 9, leave, exit 126");
  }
  SUBCASE("no fork at all") {
    Trace t;
    t.start().not_started(69).left();
    CHECK(t.take() == "spawn, close, leave, exit 69");
  }
  SUBCASE("while a stop waits for it") {
    Trace t;
    t.start().stop().left().not_started(127);
    CHECK(t.take() == "spawn, close, leave, exit 127");
  }
}

TEST_CASE("a worker that is not ready in time is stopped, and the exit code says temporary") {
  Trace t;
  t.start().started().after(59'999ms);
  CHECK(t.take() == "spawn");
  t.after(1ms);
  CHECK(t.take() == "close, signal 15, leave");
  CHECK(t.has_note(Note::Kind::kNotReadyInTime));
  t.killed_by(kTerm).left();
  CHECK(t.take() == "exit 75");

  Trace patient({.ready_timeout = 0s});
  patient.start().started();
  CHECK(patient.supervisor.next_deadline() == kNever);
}

TEST_CASE("signals for the worker are passed on while there is one") {
  Trace t;
  t.forward(10).start().forward(10).started().forward(10);
  CHECK(t.take() == "spawn, signal 10");
  t.ready().forward(12).stop().forward(28).all_drained().forward(12);
  CHECK(t.take() == "announce, signal 12, depart 20000, signal 28, close, signal 15, leave, signal 12");
  t.exited(0).forward(10);
  CHECK(t.take() == "");
}

TEST_CASE("a machine that stands still past the whole budget gets every phase in order, a second later each at most") {
  SUBCASE("while draining") {
    Trace t = serving();
    t.stop().take();
    t.stand_still(60s);
    CHECK(t.take() == "leave");
    t.after(500ms);
    CHECK(t.take() == "close, signal 15");
    t.after(500ms);
    CHECK(t.take() == "signal 9");
    t.after(500ms);
    CHECK(t.take() == "exit 137");
  }
  SUBCASE("after the stop signal") {
    Trace t = serving();
    t.stop().all_drained().take();
    t.stand_still(60s);
    CHECK(t.take() == "");
    t.exited(0).left();
    CHECK(t.take() == "exit 0");
  }
  SUBCASE("while a worker starts: it stood still too") {
    Trace t;
    t.start().started().take();
    t.stand_still(120s).after(999ms);
    CHECK(t.take() == "");
    CHECK(t.ready().take() == "announce");
  }
  SUBCASE("while a renewal starts") {
    Trace t = serving();
    t.renew().started(2).take();
    t.stand_still(120s).after(999ms);
    CHECK(t.ready(2).take() == "unready");
  }
}

}  // namespace shoal::task
