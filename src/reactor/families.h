// Which peers a socket bound to `[::]` takes.
#pragma once

#include <cstdint>

namespace shoal::reactor {

enum class Families : std::uint8_t {
  kBoth,     // v4 peers too, as v4-mapped addresses. For a v4 address the same as kOwnOnly.
  kOwnOnly,  // v6 peers alone (IPV6_V6ONLY), so that a second socket can have 0.0.0.0 with the same port.
};

}  // namespace shoal::reactor
