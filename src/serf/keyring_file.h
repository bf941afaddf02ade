// Serf's keyring file: a JSON array of keys in base64, the first of them the one to encrypt with (gossip-protocol facts
// 5.9). `serf agent -keyring-file` reads what we write and the other way round. On disk, mode 0600:
//
//     [
//       "Vb2HCZOYRUfN0WYeHYtZHxJxpYxkIcdHGxhh8AKBqQI=",
//       "5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4="
//     ]
//
// Keys are secrets: no error text repeats any part of the file.
#pragma once

#include <span>
#include <string_view>

#include "base/containers.h"
#include "base/result.h"
#include "wire/keyring.h"

namespace shoal::serf {

inline constexpr std::size_t kKeyBytesMax = wire::kAeadKeyBytesMax;
inline constexpr std::size_t kKeyringKeysMax = wire::Keyring::kKeysMax;
inline constexpr std::size_t kKeyringFileBytesMax = std::size_t{64} << 10;

using Key = FixedBytes<kKeyBytesMax>;
using KeyList = InlineVector<Key, kKeyringKeysMax>;

/// At least one key, the primary one first; a key that stands there twice counts once. The error names `path`, the line
/// and the column, and what to do.
[[nodiscard]] Result<KeyList> parse_keyring_file(std::string_view path, std::string_view text);

/// The most that format_keyring_file writes.
inline constexpr std::size_t kKeyringTextMax = 4 + kKeyringKeysMax * (44 + 6);
/// As serf writes it, without a newline at the end.
[[nodiscard]] FixedString<kKeyringTextMax> format_keyring_file(std::span<const Key> keys);

}  // namespace shoal::serf
