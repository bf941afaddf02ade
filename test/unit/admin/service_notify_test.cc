#include "admin/service_notify.h"

#include <doctest/doctest.h>

#include <string>

using namespace shoal;
using namespace shoal::admin;

namespace {

constexpr Instant kStart = Instant(5s);

/// Sends all that is due now.
std::string told(ServiceNotify& notify, Instant now, bool done = true) {
  std::string out;
  for (std::string_view datagram; !(datagram = notify.next(now)).empty();) {
    out += "[" + std::string(datagram.substr(0, datagram.size() - 1)) + "]";
    notify.on_sent(now, done);
  }
  return out;
}

}  // namespace

TEST_CASE("a service says that it is ready once, and that it stops once") {
  ServiceNotify notify({}, kStart);
  CHECK(told(notify, kStart).empty());
  CHECK(notify.next_deadline() == kNever);
  notify.on_ready();
  CHECK(notify.next_deadline() <= kStart);
  CHECK(told(notify, kStart) == "[READY=1]");
  notify.on_ready();
  CHECK(told(notify, kStart + 1h).empty());
  notify.on_stopping();
  notify.on_stopping();
  CHECK(told(notify, kStart + 1h) == "[STOPPING=1]");
  notify.on_ready();
  notify.on_reload_begin(kStart + 1h);
  CHECK(told(notify, kStart + 2h).empty());
  CHECK(notify.next_deadline() == kNever);
}

TEST_CASE("a reload is told before its end, each in a datagram of its own, also one that is over at once") {
  ServiceNotify notify({}, kStart);
  notify.on_reload_begin(kStart);  // A part of the start.
  notify.on_reload_end();
  CHECK(told(notify, kStart).empty());
  notify.on_ready();
  CHECK(told(notify, kStart) == "[READY=1]");
  notify.on_reload_begin(kStart + 1s);
  notify.on_reload_end();
  CHECK(told(notify, kStart + 2s) == "[RELOADING=1\nMONOTONIC_USEC=6000000][READY=1]");
  notify.on_reload_begin(kStart + 3s);
  CHECK(told(notify, kStart + 3s) == "[RELOADING=1\nMONOTONIC_USEC=8000000]");
  notify.on_reload_begin(kStart + 4s);  // Another before the end of the first.
  CHECK(told(notify, kStart + 4s) == "[RELOADING=1\nMONOTONIC_USEC=9000000]");
  notify.on_reload_end();
  CHECK(told(notify, kStart + 5s) == "[READY=1]");
  notify.on_reload_begin(kStart + 6s);
  notify.on_stopping();
  CHECK(told(notify, kStart + 6s) == "[STOPPING=1]");
}

TEST_CASE("a status is told when it changes, not too often, and goes along with a state") {
  ServiceNotify notify({}, kStart);
  notify.on_status("begins");
  CHECK(told(notify, kStart) == "[STATUS=begins]");
  notify.on_status("begins");
  CHECK(told(notify, kStart + 1s).empty());
  notify.on_status("one");
  CHECK(told(notify, kStart + 1s) == "[STATUS=one]");
  notify.on_status("two");
  notify.on_status("three\nREADY=1");
  CHECK(told(notify, kStart + 1s).empty());
  CHECK(notify.next_deadline() == kStart + 1s + ServiceNotify::kStatusGap);
  CHECK(told(notify, notify.next_deadline()) == "[STATUS=three READY=1]");
  notify.on_status("up");
  notify.on_ready();
  CHECK(told(notify, kStart + 1300ms) == "[READY=1\nSTATUS=up]");
  notify.on_status(std::string(1000, 'x'));
  CHECK(told(notify, kStart + 2s) == "[STATUS=" + std::string(ServiceNotify::kStatusMax, 'x') + "]");
}

TEST_CASE("the watchdog is fed every half of what it asks for, whatever else is said") {
  ServiceNotify notify(500ms, kStart);
  CHECK(told(notify, kStart) == "[WATCHDOG=1]");
  CHECK(notify.next_deadline() == kStart + 500ms);
  notify.on_ready();
  CHECK(told(notify, kStart + 499ms) == "[READY=1]");
  CHECK(told(notify, kStart + 501ms) == "[WATCHDOG=1]");
  CHECK(notify.next_deadline() == kStart + 1001ms);
  notify.on_stopping();
  CHECK(told(notify, kStart + 1s) == "[STOPPING=1]");
  CHECK(told(notify, kStart + 1001ms) == "[WATCHDOG=1]");  // A long stop, too.
}

TEST_CASE("what could not be sent is sent later, further and further apart, as it is then") {
  ServiceNotify notify({}, kStart);
  notify.on_ready();
  notify.on_status("a");
  Duration wait = ServiceNotify::kRetryMin;
  Instant now = kStart;
  for (int i = 0; i < 12; ++i) {
    CHECK_FALSE(told(notify, now, false).empty());
    CHECK(notify.next_deadline() == now + wait);
    CHECK(told(notify, now + wait - 1ms).empty());
    now += wait;
    wait = std::min(wait * 2, ServiceNotify::kRetryMax);
  }
  notify.on_status("b");
  CHECK(told(notify, now) == "[READY=1\nSTATUS=b]");
  notify.on_stopping();
  CHECK_FALSE(told(notify, now, false).empty());
  CHECK(notify.next_deadline() == now + ServiceNotify::kRetryMin);  // From the beginning again.
}

TEST_CASE("a watchdog is ours when it names us or nobody, and makes sense") {
  CHECK(watchdog_interval("30000000", {}, 7) == 15s);
  CHECK(watchdog_interval("30000000", "7", 7) == 15s);
  CHECK(watchdog_interval("30000000", "8", 7) == std::nullopt);
  CHECK(watchdog_interval("30000000", "", 7) == std::nullopt);
  CHECK(watchdog_interval({}, {}, 7) == std::nullopt);
  for (const char* bad : {"", "0", "1", "-5", "3s", "99999999999999999999", "18446744073709551615", " 30"}) {
    CAPTURE(bad);
    CHECK(watchdog_interval(bad, {}, 7) == std::nullopt);
  }
}
