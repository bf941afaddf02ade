#include "task/health.h"

#include <algorithm>

namespace shoal::task {
namespace {

constexpr Duration kLookAtJoinedMost = 250ms;
constexpr int kGoodStatusMin = 200;
constexpr int kGoodStatusMax = 399;

}  // namespace

std::string_view to_text(HealthFault fault) {
  switch (fault) {
    case HealthFault::kNone: return "none";
    case HealthFault::kRefused: return "nobody listens";
    case HealthFault::kNoAnswer: return "no answer in time";
    case HealthFault::kBadStatus: return "the answer is neither 2xx nor 3xx";
    case HealthFault::kNoHttp: return "the answer is no HTTP/1";
    case HealthFault::kClosed: return "the connection was closed without an answer";
    case HealthFault::kNotAccepted: return "a connection waits to be accepted";
  }
  SHOAL_UNREACHABLE();
}

void Health::tick(Instant now, const HealthOutbox& out) {
  SHOAL_ASSERT(out.empty());
  SHOAL_ASSERT(now >= now_);
  now_ = now;
}

void Health::start(Instant now, HealthOutbox& out) {
  stop(now, out);
  unhealthy_ = false;
  has_fallen_ = false;
  rise_needed_ = options_.rise;
  failures_ = successes_ = untried_ = 0;
  fault_ = HealthFault::kNone;
  http_status_ = 0;
  pause(now);
}

void Health::stop(Instant now, HealthOutbox& out) {
  tick(now, out);
  if (phase_ == Phase::kProbing || phase_ == Phase::kJoined) out.add(EndHealthProbe{});
  phase_ = Phase::kOff;
  next_ = kNever;
}

void Health::pause(Instant now) {
  phase_ = Phase::kPause;
  next_ = now + rng_.jittered(options_.interval);
}

void Health::on_deadline(Instant now, HealthOutbox& out) {
  tick(now, out);
  if (now < next_) return;
  switch (phase_) {
    case Phase::kOff: next_ = kNever; return;
    case Phase::kPause:
      phase_ = Phase::kProbing;
      next_ = now + options_.timeout;
      if (options_.mode == HealthMode::kQueue) {
        out.add(ReadHealthQueue{});
      } else {
        out.add(StartHealthProbe{});
      }
      return;
    case Phase::kProbing:
      out.add(EndHealthProbe{});
      if (options_.mode == HealthMode::kQueue) {  // The reading never came.
        ++untried_;
        return pause(now);
      }
      failed(now, HealthFault::kNoAnswer, out);
      return pause(now);
    case Phase::kJoined:
      next_ = now + std::min(kLookAtJoinedMost, options_.interval);
      out.add(LookAtJoined{});
      return;
  }
}

void Health::on_passed(Instant now, HealthOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kProbing) return;
  passed(now, out);
  pause(now);
}

void Health::on_failed(Instant now, HealthFault fault, HealthOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kProbing) return;
  failed(now, fault, out);
  pause(now);
}

void Health::on_http_answer(Instant now, int status, HealthOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kProbing || options_.mode != HealthMode::kHttp) return;
  if (status >= kGoodStatusMin && status <= kGoodStatusMax) {
    passed(now, out);
  } else {
    http_status_ = status;
    failed(now, HealthFault::kBadStatus, out);
  }
  pause(now);
}

void Health::on_nothing_learned(Instant now, HealthOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kProbing && phase_ != Phase::kJoined) return;
  ++untried_;
  pause(now);
}

void Health::on_reading(Instant now, const QueueReading& reading, HealthOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kProbing || options_.mode != HealthMode::kQueue) return;
  if (reading.depth == 0) {
    passed(now, out);
    return pause(now);
  }
  phase_ = Phase::kJoined;
  last_depth_ = reading.depth;
  counts_at_ = now + options_.interval;
  next_ = now + std::min(kLookAtJoinedMost, options_.interval);
  out.add(JoinQueue{});
}

void Health::on_joined(Instant now, Joined joined, const QueueReading& reading, HealthOutbox& out) {
  tick(now, out);
  if (phase_ != Phase::kJoined) return;
  const bool shorter = reading.depth == 0 || reading.depth < last_depth_;
  last_depth_ = std::max(last_depth_, reading.depth);
  if (joined == Joined::kAccepted || (joined == Joined::kUnknown && shorter)) {
    out.add(EndHealthProbe{});
    passed(now, out);
    return pause(now);
  }
  if (now < counts_at_) return;
  counts_at_ = now + options_.interval;
  failed(now, HealthFault::kNotAccepted, out);
}

void Health::passed(Instant now, HealthOutbox& out) {
  untried_ = 0;
  failures_ = 0;
  if (!unhealthy_) return;
  ++successes_;
  if (successes_ < rise_needed_) return;
  unhealthy_ = false;
  out.add(WorkerHealthy{now - unhealthy_since_, successes_});
}

void Health::failed(Instant now, HealthFault fault, HealthOutbox& out) {
  untried_ = 0;
  successes_ = 0;
  ++failures_;
  fault_ = fault;
  if (fault != HealthFault::kBadStatus) http_status_ = 0;
  if (unhealthy_ || failures_ < options_.fall) return;
  const bool again = has_fallen_ && now - last_fall_ < kDampedFor;
  rise_needed_ = again ? std::min(rise_needed_ * 2, std::max(options_.rise, kRiseMost)) : options_.rise;
  has_fallen_ = true;
  last_fall_ = now;
  unhealthy_ = true;
  unhealthy_since_ = now;
  out.add(WorkerUnhealthy{fault_, http_status_, failures_, rise_needed_});
}

}  // namespace shoal::task
