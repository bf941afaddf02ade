#include "task/supervisor.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"

namespace shoal::task {
namespace {

using State = Supervisor::State;
using Event = Supervisor::Event;

constexpr std::int32_t kPid = 4711;
constexpr std::int32_t kTerm = 15;
constexpr std::int32_t kKill = 9;

std::string to_word(const SupervisorEffect& effect) {
  if (std::holds_alternative<SpawnWorker>(effect)) return "spawn";
  if (std::holds_alternative<CloseListener>(effect)) return "close";
  if (const auto* s = std::get_if<SignalWorkerGroup>(&effect)) {
    CHECK(s->pid == kPid);
    return "signal " + std::to_string(s->signal);
  }
  if (std::holds_alternative<AnnounceReady>(effect)) return "announce";
  if (const auto* d = std::get_if<Depart>(&effect)) return "depart " + std::to_string(to_ms(d->timeout));
  if (std::holds_alternative<StartLeave>(effect)) return "leave";
  if (const auto* e = std::get_if<Exit>(&effect)) return "exit " + std::to_string(e->code);
  return "";
}

/// A supervisor, its clock, and what it has wanted since the last question, as words. Notes are kept apart.
struct Trace {
  explicit Trace(const Supervisor::Options& options = {}) : supervisor(options, Instant{}) {}

  Instant now{};
  Supervisor supervisor;
  SupervisorOutbox out;
  std::string words;
  std::vector<Note> notes;
  int exits = 0;
  Instant stop_began = kNever;
  Instant exit_at = kNever;

  void drain() {
    for (const SupervisorEffect& effect : out) {
      if (const auto* note = std::get_if<Note>(&effect)) {
        notes.push_back(*note);
        continue;
      }
      if (std::holds_alternative<Exit>(effect)) {
        ++exits;
        exit_at = now;
      }
      if (!words.empty()) words += ", ";
      words += to_word(effect);
    }
    out.clear();
    if (supervisor.state() >= State::kDraining) stop_began = earlier(stop_began, now);
  }
  std::string take() {
    std::string taken;
    taken.swap(words);
    return taken;
  }
  bool has_note(Note::Kind kind) const {
    for (const Note& note : notes) {
      if (note.kind == kind) return true;
    }
    return false;
  }

  Trace& start() { return supervisor.start(now, out), drain(), *this; }
  Trace& started() { return supervisor.on_worker_started(now, kPid, out), drain(), *this; }
  Trace& not_started(int code) { return supervisor.on_worker_failed(now, code, out), drain(), *this; }
  Trace& ready() { return supervisor.on_worker_ready(now, out), drain(), *this; }
  Trace& exited(int status) { return supervisor.on_worker_exit(now, {false, status}, out), drain(), *this; }
  Trace& killed_by(int signal) { return supervisor.on_worker_exit(now, {true, signal}, out), drain(), *this; }
  Trace& stop(bool fast = false) { return supervisor.on_stop_signal(now, fast, out), drain(), *this; }
  Trace& all_drained(bool confirmed = true) { return supervisor.on_drained(now, confirmed, out), drain(), *this; }
  Trace& left() { return supervisor.on_left(now, out), drain(), *this; }
  Trace& forward(int signal) { return supervisor.on_forward_signal(now, signal, out), drain(), *this; }
  /// Time passes; every deadline on the way is kept punctually.
  Trace& after(Duration d) {
    const Instant until = now + d;
    while (supervisor.next_deadline() <= until) {
      now = supervisor.next_deadline();
      supervisor.on_deadline(now, out);
      drain();
      CHECK(supervisor.next_deadline() > now);
    }
    now = until;
    return *this;
  }
};

Trace serving(const Supervisor::Options& options = {}) {
  Trace t(options);
  t.start().started().after(1s).ready();
  CHECK(t.take() == "spawn, announce");
  CHECK(t.supervisor.is_serving());
  return t;
}

}  // namespace

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
    CHECK(t.take() == "depart 0, close, leave");
    t.left();
    CHECK(t.take() == "exit 3");
  }
  SUBCASE("signal") {
    Trace t = serving();
    t.killed_by(11).left();
    CHECK(t.take() == "depart 0, close, leave, exit 139");
  }
  SUBCASE("SIGTERM from somebody else is no success") {
    Trace t = serving();
    t.killed_by(kTerm).left();
    CHECK(t.take() == "depart 0, close, leave, exit 143");
  }
  SUBCASE("but is one when the whole container was told to stop and the worker was quicker") {
    Trace t = serving();
    t.killed_by(kTerm).stop().left();
    CHECK(t.take() == "depart 0, close, leave, exit 0");
  }
  SUBCASE("before it was ready: nothing to depart from") {
    Trace t;
    t.start().started().exited(1);
    CHECK(t.take() == "spawn, close, leave");
    t.left();
    CHECK(t.take() == "exit 1");
  }
  SUBCASE("while draining: the depart is out already") {
    Trace t = serving();
    t.stop().after(1s).exited(1);
    CHECK(t.take() == "depart 20000, close, leave");
  }
  SUBCASE("while the leave goes first") {
    Trace t = serving();
    t.stop().all_drained(false).exited(0);
    CHECK(t.take() == "depart 20000, leave, close");
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
    CHECK(t.take() == "spawn, close, leave, exit 126");
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

TEST_CASE("a call of the deadline that comes after the whole budget goes through its phases and exits") {
  Trace t = serving();
  t.stop().take();
  t.now += 60s;
  t.supervisor.on_deadline(t.now, t.out);
  CHECK(t.out.size() <= SupervisorOutbox::kEffectsMax);
  t.drain();
  CHECK(t.take() == "leave, close, signal 9, exit 137");
  CHECK(t.supervisor.state() == State::kDone);
}

namespace {

/// Brings a new supervisor into the state.
void bring_to(Trace& t, State state) {
  switch (state) {
    case State::kIdle: return;
    case State::kSpawning: t.start(); return;
    case State::kStarting: t.start().started(); return;
    case State::kReady: t.start().started().ready(); return;
    case State::kDraining: t.start().started().ready().stop(); return;
    case State::kLeavingFirst: t.start().started().ready().stop().all_drained(false); return;
    case State::kStopping: t.start().started().stop(); return;
    case State::kKilling: t.start().started().stop().after(25s); return;
    case State::kLeaving: t.start().started().exited(0); return;
    case State::kDone: t.start().started().exited(0).left(); return;
    case State::kCount: break;
  }
  FAIL("no such state");
}

/// An input from outside by number; false for those that are none (deadlines).
bool give(Trace& t, Event event) {
  switch (event) {
    case Event::kStart: t.start(); return true;
    case Event::kWorkerStarted: t.started(); return true;
    case Event::kWorkerNotStarted: t.not_started(127); return true;
    case Event::kWorkerReady: t.ready(); return true;
    case Event::kWorkerExited: t.exited(5); return true;
    case Event::kStop: t.stop(); return true;
    case Event::kStopFast: t.stop(true); return true;
    case Event::kDrained: t.all_drained(true); return true;
    case Event::kDrainedUnconfirmed: t.all_drained(false); return true;
    case Event::kLeft: t.left(); return true;
    case Event::kForwardSignal: t.forward(10); return true;
    case Event::kReadyTimeout:
    case Event::kDrainShareUsed:
    case Event::kHeadStartOver:
    case Event::kLeaveTimeout:
    case Event::kKillDue:
    case Event::kBudgetOver:
    case Event::kCount: return false;
  }
  return false;
}

}  // namespace

TEST_CASE("the whole table: where each event leads from each state") {
  // S = spawning, s = starting, R = ready, D = draining, F = leaving first, P = stopping, K = killing, L = leaving,
  // X = done, I = idle; a dot means that the state stays.
  constexpr char kLetters[] = "ISsRDFPKLX";
  struct Line {
    State from;
    const char* to;  // start, started, not started, ready, exited, stop, fast, drained, unconfirmed, left, signal
  };
  constexpr Line kTable[] = {
      {State::kIdle, "S....LL...."},     {State::kSpawning, ".sL.LPP...."}, {State::kStarting, "..LRLPP...."},
      {State::kReady, "....LDP...."},    {State::kDraining, "....LPPPF.."}, {State::kLeavingFirst, "....LPPP..."},
      {State::kStopping, "..L.L......"}, {State::kKilling, "..X.X......"},  {State::kLeaving, ".........X."},
      {State::kDone, "..........."},
  };
  static_assert(std::size(kTable) == static_cast<std::size_t>(State::kCount));
  for (const Line& line : kTable) {
    for (std::size_t e = 0; line.to[e] != '\0'; ++e) {
      CAPTURE(index_of(line.from));
      CAPTURE(e);
      Trace t;
      bring_to(t, line.from);
      REQUIRE(t.supervisor.state() == line.from);
      REQUIRE(give(t, static_cast<Event>(e)));
      const char expected = line.to[e] == '.' ? kLetters[index_of(line.from)] : line.to[e];
      CHECK(kLetters[index_of(t.supervisor.state())] == expected);
    }
  }
}

TEST_CASE("whatever happens in whatever order, a stop ends within its budget, once") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const Duration drain_timeout = std::chrono::seconds(1 + static_cast<int>(rng.below(std::uint64_t{40})));
    Trace t({.drain_timeout = drain_timeout});
    const auto from = static_cast<State>(rng.below(static_cast<std::uint64_t>(State::kDone)));
    bring_to(t, from);
    t.take();
    for (int step = 0; step < 40 && t.exits == 0; ++step) {
      t.after(rng.below(Duration(3s)));
      if (t.exits > 0) break;
      auto event = static_cast<Event>(rng.below(static_cast<std::uint64_t>(Event::kReadyTimeout)));
      if (step == 20) event = Event::kStop;
      give(t, event);
    }
    t.stop().after(stop_budget(drain_timeout, 30s).total);
    CHECK(t.exits == 1);
    CHECK(t.exit_at - t.stop_began <= stop_budget(drain_timeout, 30s).total);
    CHECK(t.supervisor.state() == State::kDone);
    CHECK(t.supervisor.next_deadline() == kNever);
  }
}

TEST_CASE("from every state a stop alone ends within the budget although nobody answers any more") {
  for (std::size_t s = 0; s < index_of(State::kDone); ++s) {
    CAPTURE(s);
    Trace t;
    bring_to(t, static_cast<State>(s));
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

}  // namespace shoal::task
