// Addresses. An IpAddress keeps exactly the bytes that came from the wire: 4, or 16 (which may be a v4-mapped address).
// memberlist compares address *bytes*, so a node that advertised 16 must be repeated with 16, or every peer reports a
// name conflict (gossip-protocol section 2, trap 7).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/containers.h"

namespace shoal {

class IpAddress {
 public:
  IpAddress() = default;  // No address.
  /// Nothing unless `raw` is 4 or 16 bytes.
  [[nodiscard]] static std::optional<IpAddress> from_raw(Bytes raw);
  /// "10.0.0.1", "::1", "[::1]"; no zone, no host name.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
  [[nodiscard]] static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);

  [[nodiscard]] Bytes raw() const& { return Bytes(bytes_).first(size_); }
  Bytes raw() && = delete;  // The bytes would be gone with the temporary.
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// 4 bytes, or 16 bytes in ::ffff:0:0/96.
  [[nodiscard]] bool is_v4() const;
  /// The 4-byte form of a v4-mapped address; itself otherwise.
  [[nodiscard]] IpAddress unmapped() const;
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_link_local() const;
  [[nodiscard]] bool is_multicast() const;  // Limited broadcast included.

  /// Byte-wise, as memberlist compares.
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::uint8_t size_ = 0;
  std::array<std::uint8_t, 16> bytes_{};
};

/// Equal for people: a v4 address and its v4-mapped form are the same host.
[[nodiscard]] bool same_host(const IpAddress& a, const IpAddress& b);

using AddressText = FixedString<64>;
/// "10.0.0.1" or "::1"; v4-mapped is printed as v4; "-" for no address.
[[nodiscard]] AddressText to_text(const IpAddress& address);

struct Endpoint {
  IpAddress addr;
  std::uint16_t port = 0;

  /// "10.0.0.1:80" or "[::1]:80". Nothing without a port.
  [[nodiscard]] static std::optional<Endpoint> parse(std::string_view text);
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

[[nodiscard]] bool same_place(const Endpoint& a, const Endpoint& b);
/// An order of places: by address, then by port. A v4 address counts as its v4-mapped form.
[[nodiscard]] bool higher_place(const Endpoint& a, const Endpoint& b);
/// "10.0.0.1:80" or "[::1]:80".
[[nodiscard]] AddressText to_text(const Endpoint& endpoint);

/// An address range, "10.0.0.0/8".
struct Cidr {
  IpAddress addr;
  std::uint8_t bits = 0;
  /// A bare address is a range of one.
  [[nodiscard]] static std::optional<Cidr> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& address) const;
};

}  // namespace shoal
