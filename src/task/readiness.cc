#include "task/readiness.h"

#include <algorithm>
#include <utility>

namespace shoal::task {
namespace {

constexpr Duration kPollMin = 10ms;
constexpr Duration kPollMax = 250ms;
// A probe that neither succeeds nor fails (a full queue drops the handshake) is given up and made anew.
constexpr Duration kConnectTimeout = 3s;
constexpr Duration kHttpTimeout = 5s;
constexpr int kGoodStatusMin = 200;
constexpr int kGoodStatusMax = 399;

}  // namespace

std::string_view to_text(ReadyBy by) {
  switch (by) {
    case ReadyBy::kNotify: return "notify";
    case ReadyBy::kAcceptQueue: return "accept-queue";
    case ReadyBy::kHttp: return "http";
    case ReadyBy::kConnect: return "connect";
    case ReadyBy::kDelay: return "delay";
  }
  SHOAL_UNREACHABLE();
}

void Readiness::tick(Instant now, const ReadinessOutbox& out) {
  SHOAL_ASSERT(out.empty());
  SHOAL_ASSERT(now >= now_);
  now_ = now;
}

bool Readiness::connect_is_proof() const {
  return options_.mode == ReadyMode::kTcp || (options_.mode == ReadyMode::kAuto && !options_.socket_is_passed);
}

void Readiness::on_worker_started(Instant now, ReadinessOutbox& out, bool beside_another) {
  tick(now, out);
  beside_another_ = beside_another;
  taken_by_others_ = 0;
  pause_ = kPollMin;
  next_ = kNever;
  started_ = now;
  http_status_ = 0;
  look_wait_ = options_.look_after;
  const bool looks = look_wait_ > Duration{} && options_.mode != ReadyMode::kDelay;
  look_at_ = looks ? now + look_wait_ : kNever;
  switch (options_.mode) {
    case ReadyMode::kNotify: phase_ = Phase::kWaiting; return;
    case ReadyMode::kDelay:
      phase_ = Phase::kWaiting;
      next_ = now + options_.delay;
      return;
    case ReadyMode::kHttp:
    case ReadyMode::kTcp:
    case ReadyMode::kAuto: connect(out); return;
  }
}

void Readiness::connect(ReadinessOutbox& out) {
  phase_ = Phase::kConnecting;
  seen_filled_ = false;
  byte_sent_ = false;
  empty_readings_ = 0;
  if (options_.mode == ReadyMode::kHttp && !beside_another_) {
    next_ = now_ + kHttpTimeout;
    out.add(ProbeHttp{});
  } else {
    next_ = now_ + kConnectTimeout;
    out.add(ProbeConnect{});
  }
}

void Readiness::read_later(Instant now) {
  next_ = now + rng_.jittered(pause_);
  pause_ = std::min(pause_ * 2, kPollMax);
}

void Readiness::ready(ReadyBy by, ReadinessOutbox& out) {
  // The rest of an HTTP answer may be under way: its connection is the shell's to end.
  const bool has_probe = by != ReadyBy::kHttp && (phase_ == Phase::kConnecting || phase_ == Phase::kReading);
  phase_ = Phase::kOff;
  next_ = kNever;
  look_at_ = kNever;
  if (has_probe) out.add(CloseProbe{});
  out.add(WorkerReady{by});
}

void Readiness::on_notify_ready(Instant now, ReadinessOutbox& out) {
  tick(now, out);
  if (phase_ == Phase::kOff) return;
  // With kHttp, kTcp or kDelay the operator has said what counts, and it is not this.
  if (options_.mode == ReadyMode::kAuto || options_.mode == ReadyMode::kNotify) ready(ReadyBy::kNotify, out);
}

void Readiness::on_connected(Instant now, ReadinessOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kConnecting || (options_.mode == ReadyMode::kHttp && !beside_another_)) return;
  if (connect_is_proof() && !beside_another_) return ready(ReadyBy::kConnect, out);
  phase_ = Phase::kReading;
  if (!beside_another_) pause_ = kPollMin;  // Else it grows: the other one should not be flooded.
  next_ = now + kPollMax;                   // Should no reading come.
  read(out);
}

void Readiness::on_connect_failed(Instant now, ReadinessOutbox& out) {
  tick(now, out);
  if (phase_ == Phase::kReading) return;  // See the header: the queue tells whether it was taken.
  if (phase_ != Phase::kConnecting) return;
  phase_ = Phase::kRetryPause;
  read_later(now);
}

void Readiness::on_http_answer(Instant now, int status, ReadinessOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kConnecting || options_.mode != ReadyMode::kHttp) return;
  http_status_ = status;
  if (status >= kGoodStatusMin && status <= kGoodStatusMax) return ready(ReadyBy::kHttp, out);
  phase_ = Phase::kRetryPause;
  read_later(now);
}

void Readiness::on_reading(Instant now, const QueueReading& reading, ReadinessOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kReading) return;
  if (reading.defer_accept && !byte_sent_) {
    byte_sent_ = true;
    seen_filled_ = false;
    empty_readings_ = 0;
    out.add(SendProbeByte{});
  } else if (reading.depth > 0) {
    seen_filled_ = true;
    empty_readings_ = 0;
  } else {
    ++empty_readings_;
    if (seen_filled_ || empty_readings_ >= 2) return ready(ReadyBy::kAcceptQueue, out);
    pause_ = kPollMin;
  }
  read_later(now);
}

void Readiness::on_owner(Instant now, Owner owner, bool defer_accept, ReadinessOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kReading) return;
  switch (owner) {
    case Owner::kNobodyYet:
      if (defer_accept && !std::exchange(byte_sent_, true)) out.add(SendProbeByte{});
      return read_later(now);
    case Owner::kThisWorker:
      if (options_.mode != ReadyMode::kHttp) {
        return ready(connect_is_proof() ? ReadyBy::kConnect : ReadyBy::kAcceptQueue, out);
      }
      phase_ = Phase::kConnecting;
      next_ = now + kHttpTimeout;
      out.add(SendProbeRequest{});
      return;
    case Owner::kAnother:
    case Owner::kUnknown:
      ++taken_by_others_;
      phase_ = Phase::kRetryPause;
      out.add(CloseProbe{});
      return read_later(now);
  }
}

void Readiness::read(ReadinessOutbox& out) {
  if (beside_another_) {
    out.add(AskOwner{});
  } else {
    out.add(ReadQueue{});
  }
}

void Readiness::on_deadline(Instant now, ReadinessOutbox& out) {
  tick(now, out);
  if (now >= look_at_) look(now, out);
  if (now < next_) return;
  switch (phase_) {
    case Phase::kOff: next_ = kNever; return;
    case Phase::kWaiting: return ready(ReadyBy::kDelay, out);
    case Phase::kConnecting:
      out.add(CloseProbe{});
      phase_ = Phase::kRetryPause;
      read_later(now);
      return;
    case Phase::kRetryPause: connect(out); return;
    case Phase::kReading:
      next_ = now + kPollMax;  // Should no reading come.
      read(out);
      return;
  }
}

void Readiness::look(Instant now, ReadinessOutbox& out) {
  look_wait_ *= 2;
  look_at_ = now + look_wait_;
  out.add(NotReadyYet{now - started_, http_status_});
}

void Readiness::stop(Instant now, ReadinessOutbox& out) {
  tick(now, out);
  if (phase_ == Phase::kConnecting || phase_ == Phase::kReading) out.add(CloseProbe{});
  phase_ = Phase::kOff;
  next_ = kNever;
  look_at_ = kNever;
}

}  // namespace shoal::task
