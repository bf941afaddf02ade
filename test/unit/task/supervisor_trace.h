// A supervisor in a test: its clock, what it wants as words, and short names for its inputs.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"
#include "task/supervisor.h"

namespace shoal::task {

using State = Supervisor::State;
using Event = Supervisor::Event;

inline constexpr std::int32_t kTerm = 15;
inline constexpr std::int32_t kKill = 9;

inline std::string to_word(const SupervisorEffect& effect) {
  // The first generation goes without its number.
  const auto of = [](std::uint32_t generation) { return generation == 1 ? "" : " of " + std::to_string(generation); };
  if (const auto* s = std::get_if<SpawnWorker>(&effect)) return "spawn" + of(s->generation);
  if (std::holds_alternative<CloseListener>(effect)) return "close";
  if (const auto* s = std::get_if<SignalWorker>(&effect)) {
    return (s->whole_group ? "signal " : "signal to leader ") + std::to_string(s->signal) + of(s->generation);
  }
  if (std::holds_alternative<SayUnready>(effect)) return "unready";
  if (std::holds_alternative<Withdraw>(effect)) return "withdraw";
  if (std::holds_alternative<AnnounceReady>(effect)) return "announce";
  if (const auto* d = std::get_if<Depart>(&effect)) return "depart " + std::to_string(to_ms(d->timeout));
  if (std::holds_alternative<StartLeave>(effect)) return "leave";
  if (const auto* e = std::get_if<Exit>(&effect)) return "exit " + std::to_string(e->code);
  return "";
}

/// A supervisor, its clock, and what it has wanted since the last question, as words. Notes are kept apart.
struct Trace {
  explicit Trace(const Supervisor::Options& options = {}) : supervisor(options, Rng(7), Instant{}) {}

  Instant now{};
  Supervisor supervisor;
  SupervisorOutbox out;
  std::string words;
  std::vector<Note> notes;
  int exits = 0;
  std::uint32_t newest = 0;  // Generation that it has asked for.
  Instant stop_began = kNever;
  Instant exit_at = kNever;

  void drain() {
    CHECK(out.size() <= SupervisorOutbox::kEffectsMax);
    for (const SupervisorEffect& effect : out) {
      if (const auto* note = std::get_if<Note>(&effect)) {
        notes.push_back(*note);
        continue;
      }
      if (const auto* spawn = std::get_if<SpawnWorker>(&effect)) newest = spawn->generation;
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
  using Generation = std::uint32_t;
  Trace& started(Generation g = 1) { return supervisor.on_worker_started(now, g, out), drain(), *this; }
  Trace& not_started(int code, Generation g = 1) {
    return supervisor.on_worker_failed(now, g, code, out), drain(), *this;
  }
  Trace& ready(Generation g = 1) { return supervisor.on_worker_ready(now, g, out), drain(), *this; }
  /// The leader has exited; others of its group live on.
  Trace& leader_exited(int status, Generation g = 1) {
    return supervisor.on_worker_exit(now, g, {false, status}, out), drain(), *this;
  }
  Trace& gone(Generation g = 1) { return supervisor.on_worker_gone(now, g, out), drain(), *this; }
  Trace& exited(int status, Generation g = 1) { return leader_exited(status, g).gone(g); }
  Trace& killed_by(int signal, Generation g = 1) {
    supervisor.on_worker_exit(now, g, {true, signal}, out);
    return drain(), gone(g);
  }
  Trace& unhealthy() { return supervisor.on_unhealthy(now, out), drain(), *this; }
  Trace& healthy() { return supervisor.on_healthy(now, out), drain(), *this; }
  Trace& replace() { return supervisor.restart_worker(now, out), drain(), *this; }
  Trace& aside() { return supervisor.on_aside(now, out), drain(), *this; }
  Trace& renew() { return supervisor.renew(now, out), drain(), *this; }
  Trace& stop(bool fast = false) { return supervisor.on_stop_signal(now, fast, out), drain(), *this; }
  Trace& all_drained(bool confirmed = true) { return supervisor.on_drained(now, confirmed, out), drain(), *this; }
  Trace& left() { return supervisor.on_left(now, out), drain(), *this; }
  Trace& forward(int signal) { return supervisor.on_forward_signal(now, signal, out), drain(), *this; }
  /// Nobody runs meanwhile; then the deadlines are called late.
  Trace& stand_still(Duration d) { return now += d, supervisor.on_deadline(now, out), drain(), *this; }
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

inline Trace serving(const Supervisor::Options& options = {}) {
  Trace t(options);
  t.start().started().after(1s).ready();
  CHECK(t.take() == "spawn, announce");
  CHECK(t.supervisor.is_serving());
  return t;
}

/// Brings a new supervisor into the state.
inline void bring_to(Trace& t, State state) {
  switch (state) {
    case State::kIdle: return;
    case State::kSpawning: t.start(); return;
    case State::kStarting: t.start().started(); return;
    case State::kReady: t.start().started().ready(); return;
    case State::kUnhealthy: t.start().started().ready().unhealthy(); return;
    case State::kChanging: t.start().started().ready().renew().started(2).ready(2); return;
    case State::kEnding: t.start().started().ready().replace(); return;
    case State::kBackingOff: t.start().started().ready().replace().exited(1); return;
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

/// An input from outside by number; false for those that are none (deadlines). The renewal's go to generation 2.
inline bool give(Trace& t, Event event) {
  switch (event) {
    case Event::kStart: t.start(); return true;
    case Event::kWorkerStarted: t.started(); return true;
    case Event::kWorkerNotStarted: t.not_started(127); return true;
    case Event::kWorkerReady: t.ready(); return true;
    case Event::kWorkerExited: t.leader_exited(5); return true;
    case Event::kWorkerGone: t.gone(); return true;
    case Event::kOtherGone: t.leader_exited(5, 2).gone(2); return true;
    case Event::kNewReady: t.ready(2); return true;
    case Event::kAside: t.aside(); return true;
    case Event::kUnhealthy: t.unhealthy(); return true;
    case Event::kHealthy: t.healthy(); return true;
    case Event::kReplace: t.replace(); return true;
    case Event::kRenew: t.renew(); return true;
    case Event::kStop: t.stop(); return true;
    case Event::kStopFast: t.stop(true); return true;
    case Event::kDrained: t.all_drained(true); return true;
    case Event::kDrainedUnconfirmed: t.all_drained(false); return true;
    case Event::kLeft: t.left(); return true;
    case Event::kForwardSignal: t.forward(10); return true;
    case Event::kReadyTimeout:
    case Event::kBackoffOver:
    case Event::kBacklogWaitOver:
    case Event::kAsideOver:
    case Event::kReturnDue:
    case Event::kDrainShareUsed:
    case Event::kHeadStartOver:
    case Event::kLeaveTimeout:
    case Event::kWorkerKillDue:
    case Event::kKillDue:
    case Event::kBudgetOver:
    case Event::kCount: return false;
  }
  return false;
}

}  // namespace shoal::task
