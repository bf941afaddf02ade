#include "serf/keyring_file.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/rng.h"

namespace shoal::serf {
namespace {

const std::string kA = "AAECAwQFBgcICQoLDA0ODw==";                      // 00 01 .. 0f
const std::string kB = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";  // ff fe .. e0
const std::string kC = "EBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ";              // 24 times 10
const std::string kTwo = "[\n  \"" + kA + "\",\n  \"" + kB + "\"\n]";   // As serf writes it.

Key key(std::size_t size, std::uint8_t first, int step) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(first + step * static_cast<int>(i));
  Key out;
  REQUIRE(out.assign(bytes));
  return out;
}

KeyList good(std::string_view text) {
  auto keys = parse_keyring_file("k.json", text);
  CAPTURE(std::string(text));
  REQUIRE_MESSAGE(keys.ok(), (keys.ok() ? "" : keys.error().message));
  return *keys;
}

std::string problem(std::string_view text) {
  const auto keys = parse_keyring_file("k.json", text);
  CAPTURE(std::string(text));
  REQUIRE(!keys.ok());
  return keys.error().message;
}

TEST_CASE("a file as serf writes it is read, the primary key first, and written the same") {
  const KeyList keys = good(kTwo);
  REQUIRE(keys.size() == 2);
  CHECK(keys[0] == key(16, 0, 1));
  CHECK(keys[1] == key(32, 0xff, -1));
  CHECK(format_keyring_file({keys.begin(), keys.size()}) == kTwo);
}

TEST_CASE("all three key sizes, any spacing, and JSON's own spellings of a slash and a plus") {
  const KeyList keys = good("\r\n[\t\"" + kC + "\" , \"" + kA + "\"\n,\"" + kB + "\"]\n\n");
  REQUIRE(keys.size() == 3);
  CHECK(keys[0] == key(24, 0x10, 0));
  CHECK(keys[2] == key(32, 0xff, -1));
  const KeyList escaped = good(R"(["\/\/79/Pv6\u002Bfj39vX08/Lx8O/u7ezr6uno5\u002bbl5OPi4eA="])");
  CHECK(escaped[0] == key(32, 0xff, -1));
}

TEST_CASE("a key that stands there twice counts once, and the first place counts") {
  const KeyList keys = good("[\"" + kA + "\",\"" + kB + "\",\"" + kA + "\"]");
  REQUIRE(keys.size() == 2);
  CHECK(keys[0] == key(16, 0, 1));
}

TEST_CASE("an error says where, what and what to do") {
  const struct {
    std::string text, where, what;
  } rows[] = {
      {"", "line 1 column 1", "expected '['"},
      {"  \n  null", "line 2 column 3", "expected '['"},
      {"{\"keys\": []}", "line 1 column 1", "expected '['"},
      {kA, "line 1 column 1", "expected '['"},
      {"[]", "line 1 column 2", "the list has no key"},
      {"[\n]\n", "line 2 column 1", "the list has no key"},
      {"[", "line 1 column 2", "expected a key in double quotes"},
      {"[\"" + kA + "\"", "line 1 column 28", "expected ',' or ']'"},
      {"[\"" + kA + "\",]", "line 1 column 29", "expected a key in double quotes"},
      {"[\"" + kA + "\" \"" + kB + "\"]", "line 1 column 29", "expected ',' or ']'"},
      {"[\n  '" + kA + "'\n]", "line 2 column 3", "expected a key in double quotes"},
      {"[17]", "line 1 column 2", "expected a key in double quotes"},
      {"[\n  \"" + kA + "\",\n  \"AAEC\"\n]", "line 3 column 3", "the key has 3 bytes"},
      {"[\"\"]", "line 1 column 2", "the key has 0 bytes"},
      {"[\"AAECAwQFBgcICQoLDA0ODw=\"]", "line 1 column 2", "not base64"},
      {"[\"AAECAwQFBgcICQoLDA0ODx==\"]", "line 1 column 2", "not base64"},
      {"[ \"AAECAwQFBgcICQoLDA0OD-==\"]", "line 1 column 3", "not base64"},
      {"[\"" + kA, "line 1 column 2", "closing quote is missing"},
      {"[\"" + kA + "\n\"]", "line 1 column 27", "goes over the end of the line"},
      {"[\"AAEC\\nAwQF\"]", "line 1 column 7", "an escape that no key needs"},
      {"[\"\\u00", "line 1 column 3", "an escape that no key needs"},
      {"[\"\\u1041\"]", "line 1 column 3", "an escape that no key needs"},
      {"[\"\\u00zz\"]", "line 1 column 3", "an escape that no key needs"},
      {"[\"\\", "line 1 column 3", "an escape that no key needs"},
      {kTwo + " x", "line 4 column 3", "something follows the list"},
      {kTwo + kTwo, "line 4 column 2", "something follows the list"},
      {"[\"" + std::string(257, 'A') + "\"]", "line 1 column 2", "the key is too long"},
      {"\xef\xbb\xbf[]", "line 1 column 1", "expected '['"},
  };
  for (const auto& row : rows) {
    const std::string said = problem(row.text);
    CAPTURE(said);
    CHECK(said.rfind("keyring file k.json " + row.where + ": ", 0) == 0);
    CHECK(said.find(row.what) != std::string::npos);
    CHECK(said.find("; ") != std::string::npos);  // The fix follows.
  }
}

TEST_CASE("no error repeats a part of a key") {
  for (std::size_t cut = 0; cut < kTwo.size(); ++cut) {
    const std::string said = problem(kTwo.substr(0, cut));
    for (const std::string_view secret : {"AAEC", "AwQF", "//79", "Pv6+"}) {
      CHECK(said.find(secret) == std::string::npos);
    }
  }
}

TEST_CASE("sixteen keys and 64 kB are read, more is refused") {
  std::vector<Key> keys;
  for (std::size_t i = 0; i < kKeyringKeysMax; ++i) keys.push_back(key(32, static_cast<std::uint8_t>(7 * i), 3));
  const FixedString<kKeyringTextMax> full = format_keyring_file(keys);  // The longest text there is: it fits.
  CHECK(full.size() <= kKeyringTextMax);
  CHECK(good(full).size() == kKeyringKeysMax);
  std::string more(full.view());
  more.resize(more.size() - 2);
  more += ",\n  \"" + kA + "\"\n]";
  CHECK(problem(more).find("line 18 column 3: more than 16 keys; remove") != std::string::npos);

  CHECK(good(kTwo + std::string(kKeyringFileBytesMax - kTwo.size(), ' ')).size() == 2);
  CHECK(problem(kTwo + std::string(kKeyringFileBytesMax + 1 - kTwo.size(), ' ')).find("larger than 65536") !=
        std::string::npos);
}

TEST_CASE("no key is an empty list") { CHECK(format_keyring_file({}) == "[]"); }

TEST_CASE("whatever a damaged file says, it is keys or an error") {
  Rng rng(5);
  std::size_t read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = kTwo;
    for (std::uint64_t n = 1 + rng.below(std::uint64_t{3}); n > 0; --n) {
      const std::size_t where = rng.below(std::uint64_t{text.size()});
      if (rng.one_in(3)) {
        text.erase(where, 1);
      } else {
        text[where] = "[]\",\\/u0=A\n \x80\0+"[rng.below(std::uint64_t{15})];
      }
    }
    const auto keys = parse_keyring_file("k.json", text);
    if (!keys.ok()) continue;
    ++read;
    for (const Key& found : keys.value()) {
      CHECK((found.size() == 16 || found.size() == 24 || found.size() == 32));
    }
  }
  CHECK(read > 0);
  CHECK(read < 10'000);
}

}  // namespace
}  // namespace shoal::serf
