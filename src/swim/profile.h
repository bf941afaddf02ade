// What a node says of itself: where it is, which protocols it speaks, its tags. Kept in a TextStore, so that everybody
// who knows the node the same way holds the same one: 8 bytes a holder, whatever the tags.
#pragma once

#include <array>
#include <cstdint>

#include "base/endpoint.h"
#include "base/text_store.h"

namespace shoal::swim {

inline constexpr std::size_t kMetaBytesMax = 512;

/// ML and SF protocol numbers [pmin, pmax, pcur, dmin, dmax, dcur]; always all six, since Go peers crash on fewer.
using Versions = std::array<std::uint8_t, 6>;

/// Never changes: who says something new gets a new one. The default is nobody's: no address, no tags, all versions 0.
class Profile {
 public:
  Profile() = default;
  /// REQUIRES: at most kMetaBytesMax of `meta`.
  Profile(TextStore& texts, const Endpoint& endpoint, const Versions& versions, Bytes meta);

  [[nodiscard]] Endpoint endpoint() const;
  /// The address bytes exactly as received (4 or 16). Good, as meta() is, while anybody holds the profile.
  [[nodiscard]] Bytes address() const;
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] Versions versions() const;
  [[nodiscard]] Bytes meta() const;

 private:
  Text text_;  // The versions, the port, the size of the address, the address, the rest is meta.
};

}  // namespace shoal::swim
