#include "wire/aead.h"

#include <nettle/aes.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "base/check.h"

namespace shoal::wire {

// What stands in AeadKey::expanded_. Nettle's own contexts for a size of AES also hold the state of one message; that
// is kept on the stack here, so that a key in use is constant.
struct AeadAccess {
  struct Expanded {
    gcm_key tag_table;
    union {
      aes128_ctx aes128;
      aes192_ctx aes192;
      aes256_ctx aes256;
    };
  };
  static_assert(sizeof(Expanded) <= AeadKey::kExpandedBytes);
  static_assert(alignof(Expanded) <= 16);

  static Expanded& make(AeadKey& key) { return *::new (static_cast<void*>(key.expanded_.data())) Expanded; }
  static const Expanded& of(const AeadKey& key) {
    SHOAL_ASSERT(key.size_ > 0);
    return *std::launder(reinterpret_cast<const Expanded*>(key.expanded_.data()));
  }
};

namespace {

constexpr std::uint8_t kPadded = 0;
constexpr std::uint8_t kUnpadded = 1;
constexpr std::size_t kBlockBytes = AES_BLOCK_SIZE;
constexpr std::size_t kPaddedBytesMin = kSealOverheadBytes + kBlockBytes;  // Version 0 always has padding.

using Tag = std::array<std::uint8_t, kTagBytes>;

static_assert(kNonceBytes == GCM_IV_SIZE && kTagBytes == GCM_DIGEST_SIZE);
static_assert(sizeof(aes256_ctx) <= 240 && alignof(aes256_ctx) <= 16);

void aes128(const void* ctx, std::size_t size, std::uint8_t* out, const std::uint8_t* in) {
  aes128_encrypt(static_cast<const aes128_ctx*>(ctx), size, out, in);
}
void aes192(const void* ctx, std::size_t size, std::uint8_t* out, const std::uint8_t* in) {
  aes192_encrypt(static_cast<const aes192_ctx*>(ctx), size, out, in);
}
void aes256(const void* ctx, std::size_t size, std::uint8_t* out, const std::uint8_t* in) {
  aes256_encrypt(static_cast<const aes256_ctx*>(ctx), size, out, in);
}

// One message under one key and nonce.
class Gcm {
 public:
  Gcm(const AeadKey& key, Bytes nonce, Bytes aad) : key_(AeadAccess::of(key)) {
    switch (key.raw().size()) {
      case 16: cipher_ = aes128; break;
      case 24: cipher_ = aes192; break;
      case 32: cipher_ = aes256; break;
      default: SHOAL_UNREACHABLE();
    }
    gcm_set_iv(&state_, &key_.tag_table, nonce.size(), nonce.data());
    if (!aad.empty()) gcm_update(&state_, &key_.tag_table, aad.size(), aad.data());
  }
  ~Gcm() { wipe({reinterpret_cast<std::uint8_t*>(&state_), sizeof state_}); }
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;

  void encrypt(Bytes from, std::uint8_t* to) {
    gcm_encrypt(&state_, &key_.tag_table, &key_.aes128, cipher_, from.size(), to, from.data());
  }
  void decrypt(Bytes from, std::uint8_t* to) {
    gcm_decrypt(&state_, &key_.tag_table, &key_.aes128, cipher_, from.size(), to, from.data());
  }
  Tag tag() {
    Tag tag;
    gcm_digest(&state_, &key_.tag_table, &key_.aes128, cipher_, tag.size(), tag.data());
    return tag;
  }

 private:
  const AeadAccess::Expanded& key_;
  nettle_cipher_func* cipher_ = nullptr;
  gcm_ctx state_;
};

// The size without PKCS#7 padding, or more than the whole when that is wrong. The message is authentic: its writer may
// learn where the padding is bad.
bool unpad(Bytes padded, std::size_t& size) {
  const std::size_t padding = padded.back();
  if (padding == 0 || padding > kBlockBytes || padding > padded.size()) return false;
  for (const std::uint8_t byte : padded.last(padding)) {
    if (byte != padding) return false;
  }
  size = padded.size() - padding;
  return true;
}

}  // namespace

void wipe(MutableBytes memory) {
  if (!memory.empty()) explicit_bzero(memory.data(), memory.size());
}

void AeadKey::set(Bytes raw) {
  SHOAL_ASSERT(size_ok(raw.size()));
  clear();
  std::copy(raw.begin(), raw.end(), raw_.begin());
  size_ = raw.size();
  AeadAccess::Expanded& expanded = AeadAccess::make(*this);
  switch (size_) {
    case 16:
      aes128_set_encrypt_key(&expanded.aes128, raw_.data());
      gcm_set_key(&expanded.tag_table, &expanded.aes128, aes128);
      break;
    case 24:
      aes192_set_encrypt_key(&expanded.aes192, raw_.data());
      gcm_set_key(&expanded.tag_table, &expanded.aes192, aes192);
      break;
    case 32:
      aes256_set_encrypt_key(&expanded.aes256, raw_.data());
      gcm_set_key(&expanded.tag_table, &expanded.aes256, aes256);
      break;
    default: SHOAL_UNREACHABLE();
  }
}

void AeadKey::clear() {
  if (size_ == 0) return;
  wipe(expanded_);
  wipe(raw_);
  size_ = 0;
}

NonceSource::NonceSource(const std::array<std::uint8_t, kSeedBytes>& seed) {
  aes256_set_encrypt_key(::new (static_cast<void*>(expanded_.data())) aes256_ctx, seed.data());
}

NonceSource::~NonceSource() { wipe(expanded_); }

void NonceSource::next(std::span<std::uint8_t, kNonceBytes> out) {
  std::array<std::uint8_t, kBlockBytes> counter{}, block{};
  ByteWriter(counter).u64(counter_++);
  const auto* key = std::launder(reinterpret_cast<const aes256_ctx*>(expanded_.data()));
  aes256_encrypt(key, block.size(), block.data(), counter.data());
  std::copy_n(block.begin(), out.size(), out.begin());
}

void seal(const AeadKey& key, NonceSource& nonces, Bytes aad, MutableBytes memory) {
  SHOAL_ASSERT(memory.size() > kSealOverheadBytes);
  memory[0] = kUnpadded;
  const auto nonce = memory.subspan<1, kNonceBytes>();
  nonces.next(nonce);
  const MutableBytes text = memory.subspan(kSealFrontBytes, memory.size() - kSealOverheadBytes);
  Gcm gcm(key, nonce, aad);
  gcm.encrypt(text, text.data());
  const Tag tag = gcm.tag();
  std::copy(tag.begin(), tag.end(), memory.last(kTagBytes).begin());
}

OpenStatus open(const AeadKey& key, Bytes aad, Bytes sealed, MutableBytes memory, std::size_t& plain_size) {
  if (sealed.empty() || sealed[0] > kUnpadded) return OpenStatus::kNotSealed;
  if (sealed.size() < (sealed[0] == kPadded ? kPaddedBytesMin : kSealedBytesMin)) return OpenStatus::kNotSealed;
  const Bytes nonce = sealed.subspan(1, kNonceBytes);
  const Bytes text = sealed.subspan(kSealFrontBytes, sealed.size() - kSealOverheadBytes);
  SHOAL_ASSERT(memory.size() >= text.size());
  Gcm gcm(key, nonce, aad);
  gcm.decrypt(text, memory.data());
  const Tag tag = gcm.tag();
  if (memeql_sec(tag.data(), sealed.last(kTagBytes).data(), kTagBytes) == 0) {
    // What counter mode has done it undoes: the next key finds the ciphertext again.
    if (memory.data() == text.data()) Gcm(key, nonce, aad).encrypt(text, memory.data());
    return OpenStatus::kBadKey;
  }
  plain_size = text.size();
  if (sealed[0] == kPadded && !unpad(memory.first(text.size()), plain_size)) return OpenStatus::kBadPadding;
  return OpenStatus::kOk;
}

}  // namespace shoal::wire
