#include "task/renewal.h"

namespace shoal::task {

using Kind = Note::Kind;

void Renewal::begin(Instant now, std::uint32_t generation, SupervisorOutbox& out) {
  SHOAL_ASSERT(is_over());
  state_ = State::kSpawning;
  generation_ = generation;
  has_started_ = has_exited_ = false;
  told_ = Told::kNothing;
  began_ = now;
  next_ = options_.ready_timeout > Duration{} ? now + options_.ready_timeout : kNever;
  out.note(Kind::kRenewalBegun, Duration{}, static_cast<std::int32_t>(generation));
  out.add(SpawnWorker{generation});
}

void Renewal::on_started(Instant now, std::uint32_t generation, SupervisorOutbox& out) {
  if (!is_this(generation)) return;
  has_started_ = true;
  if (state_ == State::kSpawning) {
    state_ = State::kStarting;
  } else if (state_ == State::kEnding) {  // It was not wanted any more before it was there.
    if (told_ == Told::kKilled) {
      out.add(SignalWorker{generation_, kSigKill, true});
    } else {
      tell_to_stop(now, next_, out);
    }
  }
}

void Renewal::on_failed(Instant now, std::uint32_t generation, std::int32_t exit_code, SupervisorOutbox& out) {
  if (!is_this(generation)) return;
  if (is_coming()) out.note(Kind::kNewNotStarted, elapsed(now), exit_code);
  end_of_all();
}

void Renewal::on_exit(Instant now, std::uint32_t generation, WorkerExit exit, SupervisorOutbox& out) {
  if (!is_this(generation) || has_exited_) return;
  has_exited_ = true;
  if (is_coming()) {
    out.note(Kind::kNewExited, elapsed(now), exit.shell_code());
    state_ = State::kEnding;
    return kill(now, out);
  }
  // What is left of its group has the rest of the time.
  out.note(Kind::kOldExited, elapsed(now), exit.shell_code());
}

void Renewal::on_gone(Instant now, std::uint32_t generation, SupervisorOutbox& out) {
  if (!is_this(generation)) return;
  out.note(Kind::kOldGone, elapsed(now), static_cast<std::int32_t>(generation_));
  end_of_all();
}

void Renewal::on_deadline(Instant now, SupervisorOutbox& out) {
  if (now < next_) return;
  if (now - next_ > kStoodStill && told_ != Told::kKilled) {
    next_ = now + kStoodStill;
    return;
  }
  switch (state_) {
    case State::kNone: next_ = kNever; return;
    case State::kSpawning:
    case State::kStarting:
      out.note(Kind::kNewNotReady, elapsed(now), static_cast<std::int32_t>(generation_));
      state_ = State::kEnding;
      return kill(now, out);
    case State::kEnding:
      if (told_ == Told::kKilled) {
        out.note(Kind::kGroupAbandoned, elapsed(now), static_cast<std::int32_t>(generation_));
        return end_of_all();
      }
      out.note(Kind::kOldKilled, elapsed(now), static_cast<std::int32_t>(generation_));
      return kill(now, out);
  }
}

Renewal::NewServing Renewal::take_over(Instant now, std::uint32_t old, bool old_has_exited, SupervisorOutbox& out) {
  SHOAL_ASSERT(is_coming());
  const NewServing serving{generation_, has_started_, next_};
  out.note(old_has_exited ? Kind::kNewTakesOver : Kind::kRenewed, elapsed(now), static_cast<std::int32_t>(generation_));
  state_ = State::kEnding;
  generation_ = old;
  has_started_ = true;
  has_exited_ = old_has_exited;
  told_ = Told::kNothing;
  if (old_has_exited) {
    kill(now, out);
  } else {
    tell_to_stop(now, now + options_.end_grace, out);
  }
  return serving;
}

void Renewal::stop(Instant now, Instant kill_at, SupervisorOutbox& out) {
  if (!is_coming()) return;  // One that ends was told earlier, so its time is over before the stop's.
  state_ = State::kEnding;
  tell_to_stop(now, kill_at, out);
}

void Renewal::pass_on(std::int32_t signal, SupervisorOutbox& out) const {
  if (state_ == State::kNone || !has_started_) return;
  out.add(SignalWorker{generation_, signal, !options_.signals_leader_only});
}

void Renewal::tell_to_stop(Instant now, Instant kill_at, SupervisorOutbox& out) {
  told_ = Told::kToStop;
  next_ = kill_at;
  if (!has_started_) return;  // It is told as soon as it is there.
  out.add(SignalWorker{generation_, options_.stop_signal, !options_.signals_leader_only});
  out.note(Kind::kOldTold, elapsed(now), options_.stop_signal);
}

void Renewal::kill(Instant now, SupervisorOutbox& out) {
  told_ = Told::kKilled;
  next_ = now + kAbandonAfter;
  if (has_started_) out.add(SignalWorker{generation_, kSigKill, true});
}

void Renewal::end_of_all() {
  state_ = State::kNone;
  generation_ = 0;
  next_ = kNever;
}

}  // namespace shoal::task
