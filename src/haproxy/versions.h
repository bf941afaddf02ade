// What HAProxy's versions can do with servers at run time, and what the driver chooses for each. One table; from
// HAProxy's own documentation and history, 2.6 and 3.4 also by trying.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace shoal::haproxy {

/// Major and minor decide; the patch level is for people. "3.1-dev4" is taken for 3.0, since what 3.1 brings may be
/// missing in it.
struct Version {
  std::uint16_t major = 0;
  std::uint16_t minor = 0;
  friend constexpr bool operator==(const Version& a, const Version& b) {
    return a.major == b.major && a.minor == b.minor;
  }
  friend constexpr bool operator<(const Version& a, const Version& b) {
    return a.major != b.major ? a.major < b.major : a.minor < b.minor;
  }
};

/// From the `Version:` of `show info`: "2.6.12-1+deb12u4", "3.4-dev5-0e6b49-22". Nothing when it begins otherwise.
[[nodiscard]] std::optional<Version> parse_version(std::string_view text);

/// How a new server is kept from requests until its first good check.
enum class Gate : std::uint8_t {
  kByHand,     // add, weight 0, `enable health`, `enable server`, `set server ... health down`, then the weight.
  kInitState,  // `init-state down` on the `add server` line.
};

struct Traits {
  Version since;                // The row holds from this version to the next row's.
  bool dynamic_servers = true;  // `add server` and `del server` are there.
  bool experimental = false;    // They need `experimental-mode on` first, on each connection.
  bool checks = true;           // A server added at run time can have a health check.
  Gate gate = Gate::kByHand;
  bool cookie = true;           // `cookie` on the `add server` line.
  bool wait = true;             // `wait <delay> srv-removable`.
  bool quarantine = false;      // Some releases crash when a server is deleted early (reconciler.h waits everywhere).
  bool needs_pool = false;      // Without pool-max-conn on the `add server` line no connection is used twice.
  std::string_view fault = {};  // For people: what is wrong with this version and what to do. Empty: nothing known.
};

/// The row for this `Version:`. A text that cannot be read gets 2.6's row: what it does is right on all later ones.
[[nodiscard]] const Traits& traits_of(std::string_view version);

}  // namespace shoal::haproxy
