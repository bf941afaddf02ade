// A cluster with a label and two keys, for targets that go through encryption: what a fuzzer makes never has a right
// tag, so the targets seal it themselves.
#pragma once

#include <array>
#include <vector>

#include "base/check.h"
#include "wire/aead.h"
#include "wire/security.h"

namespace shoal::fuzz {

class Secrets {
 public:
  Secrets() {
    SHOAL_ASSERT(ring_.add(kOldKey) == wire::KeyResult::kOk && ring_.add(kKey) == wire::KeyResult::kOk);
    SHOAL_ASSERT(ring_.use(kKey) == wire::KeyResult::kOk);
  }
  [[nodiscard]] wire::Security with(std::string_view label) { return {&ring_, label, &nonces_}; }

  /// Version, nonce, ciphertext and tag around `plain`, which is not empty.
  [[nodiscard]] std::vector<std::uint8_t> seal(Bytes plain, Bytes aad, bool with_old_key) {
    std::vector<std::uint8_t> out(wire::kSealOverheadBytes + plain.size());
    std::copy(plain.begin(), plain.end(), out.begin() + wire::kSealFrontBytes);
    wire::seal(ring_[with_old_key ? 1 : 0], nonces_, aad, out);
    return out;
  }

  static constexpr std::array<std::uint8_t, 16> kOldKey = {1, 2, 3};
  static constexpr std::array<std::uint8_t, 32> kKey = {9, 8, 7};

 private:
  wire::Keyring ring_;
  wire::NonceSource nonces_{std::array<std::uint8_t, wire::NonceSource::kSeedBytes>{}};
};

}  // namespace shoal::fuzz
