#include "admin/service_notify.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace shoal::admin {
namespace {

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::optional<Duration> watchdog_interval(std::optional<std::string_view> usec, std::optional<std::string_view> pid,
                                          std::int64_t own_pid) {
  constexpr std::int64_t kMost = std::chrono::microseconds(24h).count();
  if (!usec) return std::nullopt;
  if (pid && whole_number(*pid) != own_pid) return std::nullopt;
  const auto whole = whole_number(*usec);
  if (!whole || *whole <= 1 || *whole > kMost) return std::nullopt;
  return std::chrono::microseconds(*whole / 2);
}

void ServiceNotify::on_reload_begin(Instant now) {
  if (!is_ready_ || is_stopping_) return;
  is_reloading_ = reload_untold_ = true;
  reload_began_ = now;
}

void ServiceNotify::on_status(std::string_view text) {
  FixedString<kStatusMax> line;
  for (const char c : text.substr(0, kStatusMax)) {
    const char shown = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    SHOAL_ASSERT(line.append({&shown, 1}));
  }
  if (line == status_) return;
  status_ = line;
  status_untold_ = true;
}

ServiceNotify::State ServiceNotify::wanted() const {
  if (is_stopping_) return State::kStopping;
  if (!is_ready_) return State::kStarting;
  return is_reloading_ || reload_untold_ ? State::kReloading : State::kReady;
}

ServiceNotify::What ServiceNotify::due(Instant now) const {
  if (now < not_before_) return What::kNothing;
  if (wanted() != told_ || (reload_untold_ && !is_stopping_)) return What::kState;
  if (watchdog_at_ <= now) return What::kWatchdog;
  return status_untold_ && now >= status_not_before_ ? What::kStatus : What::kNothing;
}

void ServiceNotify::write(std::string_view line) { SHOAL_ASSERT(datagram_.append(line) && datagram_.append("\n")); }

std::string_view ServiceNotify::next(Instant now) {
  datagram_.clear();
  sending_ = due(now);
  sending_state_ = wanted();
  if (sending_ == What::kState) {
    switch (sending_state_) {
      case State::kStarting: break;
      case State::kReady: write("READY=1"); break;
      case State::kStopping: write("STOPPING=1"); break;
      case State::kReloading: {
        char text[40] = "MONOTONIC_USEC=";
        const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(reload_began_.time_since_epoch());
        const auto [end, error] = std::to_chars(text + 15, text + sizeof text, usec.count());
        SHOAL_ASSERT(error == std::errc{});
        write("RELOADING=1");
        write({text, static_cast<std::size_t>(end - text)});
        break;
      }
    }
  }
  // A state's datagram takes the status along; the watchdog's keeps to its own, which is due often.
  if (sending_ == What::kStatus || (sending_ == What::kState && !status_.empty())) {
    SHOAL_ASSERT(datagram_.append("STATUS="));
    write(status_);
  }
  if (sending_ == What::kWatchdog) write("WATCHDOG=1");
  return datagram_;
}

void ServiceNotify::on_sent(Instant now, bool done) {
  if (!done) {
    not_before_ = now + retry_;
    retry_ = std::min(retry_ * 2, kRetryMax);
    return;
  }
  retry_ = kRetryMin;
  switch (sending_) {
    case What::kNothing: return;
    case What::kWatchdog: watchdog_at_ = now + *watchdog_; return;
    case What::kState:
      told_ = sending_state_;
      reload_untold_ = false;  // Were it untold, this was it.
      break;
    case What::kStatus: break;
  }
  status_untold_ = false;
  status_not_before_ = now + kStatusGap;
}

Instant ServiceNotify::next_deadline() const {
  Instant next = watchdog_at_;
  if (status_untold_) next = earlier(next, status_not_before_);
  if (wanted() != told_ || (reload_untold_ && !is_stopping_)) next = not_before_;
  return std::max(next, not_before_);
}

}  // namespace shoal::admin
