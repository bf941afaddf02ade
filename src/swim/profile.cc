#include "swim/profile.h"

#include <algorithm>

namespace shoal::swim {
namespace {

constexpr std::size_t kPortAt = std::tuple_size_v<Versions>;
constexpr std::size_t kAddressSizeAt = kPortAt + 2;
constexpr std::size_t kAddressAt = kAddressSizeAt + 1;
constexpr std::size_t kProfileBytesMax = kAddressAt + 16 + kMetaBytesMax;
static_assert(kProfileBytesMax <= TextStore::kTextBytesMax);

}  // namespace

Profile::Profile(TextStore& texts, const Endpoint& endpoint, const Versions& versions, Bytes meta) {
  SHOAL_ASSERT(meta.size() <= kMetaBytesMax);
  std::array<std::uint8_t, kProfileBytesMax> memory;
  const Bytes address = endpoint.addr.raw();
  std::copy(versions.begin(), versions.end(), memory.begin());
  memory[kPortAt] = static_cast<std::uint8_t>(endpoint.port >> 8);
  memory[kPortAt + 1] = static_cast<std::uint8_t>(endpoint.port);
  memory[kAddressSizeAt] = static_cast<std::uint8_t>(address.size());
  const auto tags = std::copy(address.begin(), address.end(), memory.begin() + kAddressAt);
  const auto end = std::copy(meta.begin(), meta.end(), tags);
  text_ = texts.intern(as_text(Bytes(memory).first(static_cast<std::size_t>(end - memory.begin()))));
}

Bytes Profile::address() const {
  const Bytes all = text_.bytes();
  return all.empty() ? Bytes{} : all.subspan(kAddressAt, all[kAddressSizeAt]);
}

std::uint16_t Profile::port() const {
  const Bytes all = text_.bytes();
  return all.empty() ? std::uint16_t{0} : static_cast<std::uint16_t>(all[kPortAt] << 8 | all[kPortAt + 1]);
}

Endpoint Profile::endpoint() const {
  const auto addr = IpAddress::from_raw(address());
  return addr ? Endpoint{*addr, port()} : Endpoint{};
}

Versions Profile::versions() const {
  Versions out{};
  const Bytes all = text_.bytes();
  if (!all.empty()) std::copy_n(all.begin(), out.size(), out.begin());
  return out;
}

Bytes Profile::meta() const {
  const Bytes all = text_.bytes();
  return all.empty() ? Bytes{} : all.subspan(kAddressAt + all[kAddressSizeAt]);
}

}  // namespace shoal::swim
