#include "haproxy/versions.h"

#include <array>
#include <charconv>

namespace shoal::haproxy {
namespace {

constexpr Version kWhenUnknown{2, 6};

constexpr Traits row(Version since, Gate gate, std::string_view fault) {
  Traits traits;
  traits.since = since;
  traits.gate = gate;
  traits.cookie = traits.wait = !(since < Version{3, 0});
  traits.quarantine = traits.needs_pool = since < Version{3, 0};
  traits.fault = fault;
  return traits;
}

constexpr std::string_view kTooOld =
    "servers cannot be added at run time before 2.4: give the pool slots (haproxy.method), or update HAProxy to 2.6";

constexpr Traits before_dynamic_servers() {
  Traits traits = row({0, 0}, Gate::kByHand, kTooOld);
  traits.dynamic_servers = traits.checks = false;
  return traits;
}

constexpr Traits experimental(Version since, bool checks, std::string_view fault) {
  Traits traits = row(since, Gate::kByHand, fault);
  traits.experimental = true;
  traits.checks = checks;
  return traits;
}

constexpr std::string_view kDeleteCrash =
    "releases of 2.6 to 2.9 without the fixes of February 2024 can crash when a server is deleted whose requests wait "
    "for a retry; shoal waits 10 s before each delete, so keep `retries` below 8 or set `option redispatch 1`, or "
    "update "
    "HAProxy";

// https://github.com/haproxy/haproxy: the commits behind the rows are named by their subjects.
constexpr std::array kRows = {
    before_dynamic_servers(),
    experimental({2, 4}, false,
                 "servers added at run time are experimental and have no health checks in 2.4: leave `check` and what "
                 "belongs to it out of haproxy.server_options, or update HAProxy to 2.6 or later"),
    // "MEDIUM: server: implement check for dynamic servers"
    experimental({2, 5}, true, "servers added at run time are experimental in 2.5; update HAProxy to 2.6 or later"),
    // "MEDIUM: server: remove experimental-mode for dynamic servers". The crash: "don't delete a dynamic server that
    // has streams" (2.9-dev6), "fix stream crash due to deleted server" (3.0-dev4), both for 2.6 and later.
    row({2, 6}, Gate::kByHand, kDeleteCrash),
    // "MINOR: server: allow cookie for dynamic servers", "fix dynamic servers initial settings" (the pool).
    row({3, 0}, Gate::kByHand, ""),
    // "MINOR: server: allow init-state for dynamic servers"
    row({3, 1}, Gate::kInitState, ""),
};

bool take_number(std::string_view& text, std::uint16_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

}  // namespace

std::optional<Version> parse_version(std::string_view text) {
  Version version;
  if (!take_number(text, version.major) || text.empty() || text.front() != '.') return std::nullopt;
  text.remove_prefix(1);
  if (!take_number(text, version.minor)) return std::nullopt;
  if (!text.empty() && text.front() != '.' && text.front() != '-' && text.front() != '+') return std::nullopt;
  if (text.substr(0, 4) != "-dev") return version;
  // The first of a major number follows a last one that nobody knows: 3.0-dev was made from 2.9, 2.0-dev from 1.9.
  if (version.minor > 0) return Version{version.major, static_cast<std::uint16_t>(version.minor - 1)};
  return Version{static_cast<std::uint16_t>(version.major > 0 ? version.major - 1 : 0), 9};
}

const Traits& traits_of(std::string_view version) {
  const Version wanted = parse_version(version).value_or(kWhenUnknown);
  const Traits* found = &kRows.front();
  for (const Traits& traits : kRows) {
    if (!(wanted < traits.since)) found = &traits;
  }
  return *found;
}

}  // namespace shoal::haproxy
