#include "wire/msgpack.h"

#include <bit>

namespace shoal::wire::msgpack {
namespace {

// The first byte of an object. Short forms carry a value or size in their low bits.
constexpr std::uint8_t kFixMap = 0x80;
constexpr std::uint8_t kFixArray = 0x90;
constexpr std::uint8_t kFixRaw = 0xa0;
constexpr std::uint8_t kNil = 0xc0;
constexpr std::uint8_t kNeverUsed = 0xc1;
constexpr std::uint8_t kFalse = 0xc2;
constexpr std::uint8_t kTrue = 0xc3;
constexpr std::uint8_t kBin8 = 0xc4;
constexpr std::uint8_t kBin16 = 0xc5;
constexpr std::uint8_t kBin32 = 0xc6;
constexpr std::uint8_t kExt8 = 0xc7;
constexpr std::uint8_t kExt32 = 0xc9;
constexpr std::uint8_t kFloat32 = 0xca;
constexpr std::uint8_t kFloat64 = 0xcb;
constexpr std::uint8_t kUint8 = 0xcc;
constexpr std::uint8_t kUint16 = 0xcd;
constexpr std::uint8_t kUint32 = 0xce;
constexpr std::uint8_t kUint64 = 0xcf;
constexpr std::uint8_t kInt8 = 0xd0;
constexpr std::uint8_t kInt16 = 0xd1;
constexpr std::uint8_t kInt32 = 0xd2;
constexpr std::uint8_t kInt64 = 0xd3;
constexpr std::uint8_t kFixExt1 = 0xd4;
constexpr std::uint8_t kFixExt16 = 0xd8;
constexpr std::uint8_t kRaw8 = 0xd9;  // "str8" in new msgpack; read, never written.
constexpr std::uint8_t kRaw16 = 0xda;
constexpr std::uint8_t kRaw32 = 0xdb;
constexpr std::uint8_t kArray16 = 0xdc;
constexpr std::uint8_t kArray32 = 0xdd;
constexpr std::uint8_t kMap16 = 0xde;
constexpr std::uint8_t kMap32 = 0xdf;
constexpr std::uint8_t kNegativeFix = 0xe0;

// The extent of one token, without what is nested in it.
struct Token {
  std::size_t size_bytes = 0;  // Bytes of a size or count behind the type byte...
  std::size_t fixed = 0;       // ...and bytes that always follow.
  std::uint32_t size = 0;      // For the short forms: the size or count itself.
  std::uint32_t factor = 0;    // Nested tokens for each one counted; 0: the size counts bytes.
  bool known = true;
};

Token token_of(std::uint8_t type) {
  if (type < kFixMap || type >= kNegativeFix) return {};
  if (type < kFixArray) return {.size = type & 0x0fU, .factor = 2};
  if (type < kFixRaw) return {.size = type & 0x0fU, .factor = 1};
  if (type < kNil) return {.size = type & 0x1fU};
  if (type == kNeverUsed) return {.known = false};
  if (type <= kTrue) return {};
  if (type <= kBin32) return {.size_bytes = std::size_t{1} << (type - kBin8)};
  if (type <= kExt32) return {.size_bytes = std::size_t{1} << (type - kExt8), .fixed = 1};
  if (type < kUint8) return {.fixed = std::size_t{4} << (type - kFloat32)};
  if (type <= kUint64) return {.fixed = std::size_t{1} << (type - kUint8)};
  if (type <= kInt64) return {.fixed = std::size_t{1} << (type - kInt8)};
  if (type <= kFixExt16) return {.fixed = 1 + (std::size_t{1} << (type - kFixExt1))};
  if (type <= kRaw32) return {.size_bytes = std::size_t{1} << (type - kRaw8)};
  if (type <= kArray32) return {.size_bytes = std::size_t{2} << (type - kArray16), .factor = 1};
  return {.size_bytes = std::size_t{2} << (type - kMap16), .factor = 2};
}

}  // namespace

void put_nil(ByteWriter& out) { out.u8(kNil); }
void put_bool(ByteWriter& out, bool value) { out.u8(value ? kTrue : kFalse); }

void put_uint(ByteWriter& out, std::uint64_t value) {
  if (value < 0x80) {
    out.u8(static_cast<std::uint8_t>(value));
  } else if (value <= 0xff) {
    out.u8(kUint8);
    out.u8(static_cast<std::uint8_t>(value));
  } else if (value <= 0xffff) {
    out.u8(kUint16);
    out.u16(static_cast<std::uint16_t>(value));
  } else if (value <= 0xffffffff) {
    out.u8(kUint32);
    out.u32(static_cast<std::uint32_t>(value));
  } else {
    out.u8(kUint64);
    out.u64(value);
  }
}

void put_int(ByteWriter& out, std::int64_t value) {
  constexpr std::int64_t kFixMin = -32;
  if (value >= kFixMin && value < 0x80) {
    out.u8(static_cast<std::uint8_t>(value));
  } else if (value >= -0x80 && value < 0) {
    out.u8(kInt8);
    out.u8(static_cast<std::uint8_t>(value));
  } else if (value >= -0x8000 && value <= 0x7fff) {
    out.u8(kInt16);
    out.u16(static_cast<std::uint16_t>(value));
  } else if (value >= -0x80000000LL && value <= 0x7fffffff) {
    out.u8(kInt32);
    out.u32(static_cast<std::uint32_t>(value));
  } else {
    out.u8(kInt64);
    out.u64(static_cast<std::uint64_t>(value));
  }
}

void put_raw_header(ByteWriter& out, std::uint32_t size) {
  if (size < 32) {
    out.u8(static_cast<std::uint8_t>(kFixRaw | size));
  } else if (size <= 0xffff) {
    out.u8(kRaw16);
    out.u16(static_cast<std::uint16_t>(size));
  } else {
    out.u8(kRaw32);
    out.u32(size);
  }
}

void put_float(ByteWriter& out, double value) {
  out.u8(kFloat64);
  out.u64(std::bit_cast<std::uint64_t>(value));
}

void put_text(ByteWriter& out, std::string_view text) {
  if (text.size() > out.left()) return out.fail();
  put_raw_header(out, static_cast<std::uint32_t>(text.size()));
  out.put(text);
}

void put_bytes(ByteWriter& out, Bytes bytes) {
  if (bytes.empty()) return put_nil(out);
  put_text(out, as_text(bytes));
}

void put_map(ByteWriter& out, std::uint32_t pairs) {
  if (pairs < 16) {
    out.u8(static_cast<std::uint8_t>(kFixMap | pairs));
  } else if (pairs <= 0xffff) {
    out.u8(kMap16);
    out.u16(static_cast<std::uint16_t>(pairs));
  } else {
    out.u8(kMap32);
    out.u32(pairs);
  }
}

void put_array(ByteWriter& out, std::uint32_t elements) {
  if (elements < 16) {
    out.u8(static_cast<std::uint8_t>(kFixArray | elements));
  } else if (elements <= 0xffff) {
    out.u8(kArray16);
    out.u16(static_cast<std::uint16_t>(elements));
  } else {
    out.u8(kArray32);
    out.u32(elements);
  }
}

void put_bool(ByteWriter& out, std::string_view key, bool value) {
  put_text(out, key);
  put_bool(out, value);
}

void put_uint(ByteWriter& out, std::string_view key, std::uint64_t value) {
  put_text(out, key);
  put_uint(out, value);
}

void put_int(ByteWriter& out, std::string_view key, std::int64_t value) {
  put_text(out, key);
  put_int(out, value);
}

void put_float(ByteWriter& out, std::string_view key, double value) {
  put_text(out, key);
  put_float(out, value);
}

void put_text(ByteWriter& out, std::string_view key, std::string_view text) {
  put_text(out, key);
  put_text(out, text);
}

void put_bytes(ByteWriter& out, std::string_view key, Bytes bytes) {
  put_text(out, key);
  put_bytes(out, bytes);
}

ScanStatus ObjectScanner::advance(Bytes input, std::size_t limit) {
  while (tokens_ > 0) {
    // Each token to come is a byte at least.
    if (position_ > limit || tokens_ > limit - position_) return ScanStatus::kTooLarge;
    if (position_ >= input.size()) return ScanStatus::kIncomplete;
    const Token token = token_of(input[position_]);
    if (!token.known) return ScanStatus::kMalformed;
    if (input.size() - position_ <= token.size_bytes) return ScanStatus::kIncomplete;
    std::uint64_t size = token.size;
    for (std::size_t i = 0; i < token.size_bytes; ++i) size = size << 8 | input[position_ + 1 + i];
    position_ += 1 + token.size_bytes + token.fixed + (token.factor == 0 ? size : 0);
    tokens_ = tokens_ - 1 + size * token.factor;
  }
  if (position_ > limit) return ScanStatus::kTooLarge;
  return position_ <= input.size() ? ScanStatus::kComplete : ScanStatus::kIncomplete;
}

bool Reader::at_array() const {
  const std::uint8_t type = in_.peek();
  return in_.left() > 0 && ((type >= kFixArray && type < kFixRaw) || type == kArray16 || type == kArray32);
}

Reader::Integer Reader::read_integer() {
  const std::uint8_t type = in_.u8();
  const auto sign_extended = [](std::int64_t value) {
    return Integer{.negative = value < 0, .value = static_cast<std::uint64_t>(value)};
  };
  if (type < kFixMap) return {.value = type};
  if (type >= kNegativeFix) return sign_extended(static_cast<std::int8_t>(type));
  switch (type) {
    case kNil: return {};
    case kUint8: return {.value = in_.u8()};
    case kUint16: return {.value = in_.u16()};
    case kUint32: return {.value = in_.u32()};
    case kUint64: return {.value = in_.u64()};
    case kInt8: return sign_extended(static_cast<std::int8_t>(in_.u8()));
    case kInt16: return sign_extended(static_cast<std::int16_t>(in_.u16()));
    case kInt32: return sign_extended(static_cast<std::int32_t>(in_.u32()));
    case kInt64: return sign_extended(static_cast<std::int64_t>(in_.u64()));
    default: fail(); return {};
  }
}

std::uint64_t Reader::read_uint(std::uint64_t max) {
  const Integer integer = read_integer();
  if (integer.negative || integer.value > max) fail();
  return ok() ? integer.value : 0;
}

std::int64_t Reader::read_int() {
  const Integer integer = read_integer();
  if (!integer.negative && integer.value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) fail();
  return ok() ? static_cast<std::int64_t>(integer.value) : 0;
}

bool Reader::read_bool() {
  const std::uint8_t type = in_.u8();
  if (type == kTrue || type == 1) return ok();
  if (type != kFalse && type != 0 && type != kNil) fail();
  return false;
}

double Reader::read_float() {
  switch (in_.peek()) {
    case kFloat32: in_.u8(); return static_cast<double>(std::bit_cast<float>(in_.u32()));
    case kFloat64: in_.u8(); return std::bit_cast<double>(in_.u64());
    default: break;
  }
  const Integer integer = read_integer();
  return integer.negative ? static_cast<double>(static_cast<std::int64_t>(integer.value))
                          : static_cast<double>(integer.value);
}

std::uint32_t Reader::read_raw_size(std::uint8_t type) {
  if (type >= kFixRaw && type < kNil) return type & 0x1fU;
  switch (type) {
    case kNil: return 0;
    case kBin8:
    case kRaw8: return in_.u8();
    case kBin16:
    case kRaw16: return in_.u16();
    case kBin32:
    case kRaw32: return in_.u32();
    default: fail(); return 0;
  }
}

std::string_view Reader::read_text() { return as_text(in_.take(read_raw_size(in_.u8()))); }

std::string_view Reader::read_key() {
  if (at_nil()) fail();
  return read_text();
}

Bytes Reader::read_bytes() {
  if (!at_array()) return as_bytes(read_text());
  const Bytes numbers = in_.take(read_array());
  for (const std::uint8_t number : numbers) {
    if (number >= 0x80) return in_.fail();
  }
  return numbers;
}

std::uint32_t Reader::read_array() {
  const std::uint8_t type = in_.u8();
  std::uint32_t count = 0;
  if (type >= kFixArray && type < kFixRaw) {
    count = type & 0x0fU;
  } else if (type == kArray16) {
    count = in_.u16();
  } else if (type == kArray32) {
    count = in_.u32();
  } else if (type != kNil) {
    fail();
  }
  if (count > left()) fail();
  return ok() ? count : 0;
}

std::uint32_t Reader::read_map() {
  const std::uint8_t type = in_.u8();
  std::uint32_t count = 0;
  if (type >= kFixMap && type < kFixArray) {
    count = type & 0x0fU;
  } else if (type == kMap16) {
    count = in_.u16();
  } else if (type == kMap32) {
    count = in_.u32();
  } else if (type != kNil) {
    fail();
  }
  if (count > left() / 2) fail();
  return ok() ? count : 0;
}

Bytes Reader::skip() {
  ObjectScanner scanner;
  if (scanner.advance(in_.rest(), left()) != ScanStatus::kComplete) return in_.fail();
  return in_.take(scanner.size());
}

}  // namespace shoal::wire::msgpack
