// Keys: the keyring file, base64, the ring and the answers to key queries. A file that is taken is written and read as
// the same keys; no error tells any of its content.
#include <algorithm>
#include <string>
#include <vector>

#include "base/base64.h"
#include "base/check.h"
#include "input.h"
#include "serf/key_tally.h"
#include "serf/keyring_file.h"
#include "target.h"
#include "wire/keyring.h"
#include "wire/messages.h"

namespace {

using namespace shoal;

void file(const std::string& text) {
  const auto keys = serf::parse_keyring_file("keyring.json", text);
  if (!keys.ok()) {
    SHOAL_ASSERT(!keys.error().message.empty() && keys.error().message.size() < 512);
    return;
  }
  SHOAL_ASSERT(!keys.value().empty());
  const auto written = serf::format_keyring_file(std::span(keys.value().begin(), keys.value().size()));
  const auto again = serf::parse_keyring_file("keyring.json", written.view());
  SHOAL_ASSERT(again.ok() && again.value().size() == keys.value().size());
  for (std::size_t i = 0; i < keys.value().size(); ++i) SHOAL_ASSERT(again.value()[i] == keys.value()[i]);
}

void base64(const std::string& text) {
  std::vector<std::uint8_t> raw(text.size());
  if (const auto size = base64_decode(text, raw)) {
    SHOAL_ASSERT(*size <= text.size() / 4 * 3);
    std::vector<std::uint8_t> memory(base64_size(*size));
    ByteWriter out(memory);
    base64_encode(out, Bytes(raw).first(*size));
    SHOAL_ASSERT(out.ok() && as_text(out.written()) == text);  // Each value has one spelling.
    if (*size > 0) SHOAL_ASSERT(!base64_decode(text, MutableBytes(raw).first(*size - 1)));
  }
  std::vector<std::uint8_t> memory(base64_size(text.size()));
  ByteWriter out(memory);
  base64_encode(out, as_bytes(text));
  SHOAL_ASSERT(out.size() == base64_size(text.size()));
  std::vector<std::uint8_t> back(text.size());
  SHOAL_ASSERT(base64_decode(as_text(out.written()), back) == text.size() && same_bytes(back, as_bytes(text)));
}

/// Against a plain list with the same rules.
void ring(fuzz::Input& in) {
  wire::Keyring keyring;
  std::vector<std::vector<std::uint8_t>> model;
  for (int step = 0; step < 40 && !in.empty(); ++step) {
    const std::uint8_t what = in.u8();
    std::vector<std::uint8_t> key(what & 0x80 ? in.u8() % 40 : 16 + 8 * (what >> 4 & 1), in.u8());
    const auto at = std::find(model.begin(), model.end(), key);
    const bool known = at != model.end();
    switch (what % 3) {
      case 0: {
        const wire::KeyResult result = keyring.add(key);
        if (!wire::AeadKey::size_ok(key.size())) {
          SHOAL_ASSERT(result == wire::KeyResult::kBadSize);
        } else if (!known && model.size() == wire::Keyring::kKeysMax) {
          SHOAL_ASSERT(result == wire::KeyResult::kFull);
        } else {
          SHOAL_ASSERT(result == wire::KeyResult::kOk);
          if (!known) model.push_back(key);
        }
        break;
      }
      case 1:
        SHOAL_ASSERT((keyring.use(key) == wire::KeyResult::kOk) == known);
        if (known) std::rotate(model.begin(), at, at + 1);
        break;
      default:
        SHOAL_ASSERT((keyring.remove(key) == wire::KeyResult::kIsPrimary) == (known && at == model.begin()));
        if (known && at != model.begin()) model.erase(at);
    }
    SHOAL_ASSERT(keyring.size() == model.size());
    for (std::size_t i = 0; i < model.size(); ++i) SHOAL_ASSERT(same_bytes(keyring[i].raw(), model[i]));
  }
}

void tally(fuzz::Input& in, Bytes all) {
  static serf::KeyTally tally;
  tally.begin(Instant{}, serf::KeyOperation::kList, 7, 5, 5s);
  (void)tally.on_answer(7, "me", all);
  for (int step = 0; step < 20 && !in.empty(); ++step) {
    const std::string from = fuzz::copy_of(in.take(in.u8() % 4));
    const std::string payload = fuzz::copy_of(in.short_bytes());
    (void)tally.on_answer(in.u8() % 2 + 7, from, as_bytes(payload));
  }
  SHOAL_ASSERT(tally.keys().size() <= serf::KeyTally::kKeysMax);
  SHOAL_ASSERT(tally.messages().size() <= serf::KeyTally::kMessagesMax && tally.errors() <= tally.answered());
  SHOAL_ASSERT(tally.next_deadline() == Instant{} + 5s && tally.done(Instant{} + 5s));
  tally.end();
}

void answers(Bytes body) {
  wire::KeyResponse response;
  if (wire::decode(body, response)) {
    std::size_t keys = 0;
    wire::for_each_key(response.keys, [&](std::string_view) { ++keys; });
    SHOAL_ASSERT(keys <= body.size());
  }
  wire::KeyRequest request;
  (void)wire::decode(body, request);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = fuzz::copy_of({data, size});
  file(text);
  base64(text);
  answers(as_bytes(text));
  fuzz::Input for_ring(data, size), for_tally(data, size);
  ring(for_ring);
  tally(for_tally, as_bytes(text));
  return 0;
}
