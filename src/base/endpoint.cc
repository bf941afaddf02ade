#include "base/endpoint.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>
#include <cstring>

namespace shoal {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<IpAddress> IpAddress::from_raw(Bytes raw) {
  if (raw.size() != 4 && raw.size() != 16) return std::nullopt;
  IpAddress out;
  out.size_ = static_cast<std::uint8_t>(raw.size());
  std::memcpy(out.bytes_.data(), raw.data(), raw.size());
  return out;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  FixedString<63> zero_ended;
  if (text.empty() || !zero_ended.assign(text) || text.find('\0') != std::string_view::npos) return std::nullopt;
  char copy[64] = {};
  std::memcpy(copy, text.data(), text.size());
  std::array<std::uint8_t, 16> raw{};
  if (inet_pton(AF_INET, copy, raw.data()) == 1) return from_raw(Bytes(raw).first(4));
  if (inet_pton(AF_INET6, copy, raw.data()) == 1) return from_raw(raw);
  return std::nullopt;
}

IpAddress IpAddress::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  const std::array<std::uint8_t, 4> raw = {a, b, c, d};
  return *from_raw(raw);
}

bool IpAddress::is_v4() const {
  return size_ == 4 || (size_ == 16 && std::memcmp(bytes_.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0);
}

IpAddress IpAddress::unmapped() const {
  if (size_ == 16 && is_v4()) return *from_raw(Bytes(bytes_).subspan(12, 4));
  return *this;
}

bool IpAddress::is_loopback() const {
  const IpAddress plain = unmapped();
  if (plain.size_ == 4) return plain.bytes_[0] == 127;
  if (plain.size_ != 16) return false;
  for (std::size_t i = 0; i < 15; ++i) {
    if (plain.bytes_[i] != 0) return false;
  }
  return plain.bytes_[15] == 1;
}

bool IpAddress::is_unspecified() const {
  const IpAddress plain = unmapped();
  for (const std::uint8_t byte : plain.raw()) {
    if (byte != 0) return false;
  }
  return true;
}

bool IpAddress::is_link_local() const {
  const IpAddress plain = unmapped();
  if (plain.size_ == 4) return plain.bytes_[0] == 169 && plain.bytes_[1] == 254;
  return plain.size_ == 16 && plain.bytes_[0] == 0xfe && (plain.bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const {
  const IpAddress plain = unmapped();
  if (plain.size_ == 4) return plain.bytes_[0] >= 224 && (plain.bytes_[0] < 240 || plain == v4(255, 255, 255, 255));
  return plain.size_ == 16 && plain.bytes_[0] == 0xff;
}

bool same_host(const IpAddress& a, const IpAddress& b) { return a.unmapped() == b.unmapped(); }

AddressText to_text(const IpAddress& address) {
  const IpAddress plain = address.unmapped();
  if (plain.empty()) return AddressText("-");
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(plain.raw().size() == 4 ? AF_INET : AF_INET6, plain.raw().data(), text, sizeof text);
  return AddressText(text);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  // Without brackets "::1:80" could be read both ways.
  if (host.find(':') != std::string_view::npos && (host.front() != '[' || host.back() != ']')) return std::nullopt;
  const auto addr = IpAddress::parse(host);
  const auto port = parse_port(text.substr(colon + 1));
  if (!addr || !port) return std::nullopt;
  return Endpoint{*addr, *port};
}

bool same_place(const Endpoint& a, const Endpoint& b) { return a.port == b.port && same_host(a.addr, b.addr); }

bool higher_place(const Endpoint& a, const Endpoint& b) {
  const IpAddress left = a.addr.unmapped();
  const IpAddress right = b.addr.unmapped();
  if (left.raw().size() != right.raw().size()) return left.raw().size() > right.raw().size();
  const int order = std::memcmp(left.raw().data(), right.raw().data(), left.raw().size());
  return order != 0 ? order > 0 : a.port > b.port;
}

AddressText to_text(const Endpoint& endpoint) {
  const AddressText host = to_text(endpoint.addr);
  char text[64] = {};
  const bool v6 = host.view().find(':') != std::string_view::npos;
  std::snprintf(text, sizeof text, v6 ? "[%.*s]:%u" : "%.*s:%u", static_cast<int>(host.size()), host.view().data(),
                static_cast<unsigned>(endpoint.port));
  return AddressText(text);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto addr = IpAddress::parse(text.substr(0, slash));
  if (!addr) return std::nullopt;
  const std::uint8_t bits_max = addr->raw().size() == 4 ? 32 : 128;
  const auto bits = slash == std::string_view::npos ? bits_max : parse_port(text.substr(slash + 1));
  if (!bits || *bits > bits_max) return std::nullopt;
  // A range of v4-mapped addresses is one of v4: addresses are compared in that form.
  constexpr std::uint8_t kMappedBits = 96;
  if (bits_max == 128 && addr->is_v4() && *bits >= kMappedBits) {
    return Cidr{addr->unmapped(), static_cast<std::uint8_t>(*bits - kMappedBits)};
  }
  return Cidr{*addr, static_cast<std::uint8_t>(*bits)};
}

bool Cidr::contains(const IpAddress& address) const {
  const IpAddress plain = address.unmapped();
  if (plain.raw().size() != addr.raw().size()) return false;
  for (std::size_t i = 0; i < bits; ++i) {
    const std::uint8_t mask = static_cast<std::uint8_t>(0x80 >> (i % 8));
    if ((plain.raw()[i / 8] & mask) != (addr.raw()[i / 8] & mask)) return false;
  }
  return true;
}

}  // namespace shoal
