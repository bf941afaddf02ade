// Keys, label and nonces of a test in one object that may be borrowed from.
#pragma once

#include <initializer_list>
#include <string>

#include "base/check.h"
#include "support/hex.h"
#include "wire/security.h"

namespace shoal::wire {

struct TestSecurity {
  explicit TestSecurity(std::initializer_list<std::string> keys_hex, std::string label_text = "")
      : label(std::move(label_text)) {
    for (const std::string& key : keys_hex) add(key);
  }
  void add(const std::string& key_hex) { SHOAL_ASSERT(ring.add(test::from_hex(key_hex)) == KeyResult::kOk); }
  operator Security() { return {.keyring = &ring, .label = label, .nonces = &nonces}; }  // NOLINT: it is one

  Keyring ring;
  std::string label;
  NonceSource nonces{{42}};
};

inline const std::string kKeyA = "000102030405060708090a0b0c0d0e0f";
inline const std::string kKeyB = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
inline const std::string kKeyC = "6465666768696a6b6c6d6e6f707172737475767778797a7b";

}  // namespace shoal::wire
