#include "config/text.h"

#include <doctest/doctest.h>

using namespace shoal::config;

TEST_CASE("edit distance counts wrong, missing, extra and swapped letters, whatever their case") {
  CHECK(edit_distance("weight", "weight") == 0);
  CHECK(edit_distance("wieght", "weight") == 1);  // Swapped neighbours are one slip.
  CHECK(edit_distance("weigt", "weight") == 1);
  CHECK(edit_distance("weightt", "weight") == 1);
  CHECK(edit_distance("Weight", "weight") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "") == 3);
}

TEST_CASE("the nearest word is offered only when it is near") {
  CHECK(nearest("jion", {"bind", "join", "allow"}) == "join");
  CHECK(nearest("completely-else", {"bind", "join"}).empty());
  CHECK(nearest("x", {"y"}).empty());  // One letter for another is no likeness.
  CHECK(nearest("", {"a"}).empty());
  CHECK(nearest(std::string(100000, 'a'), {"a"}).empty());
}

TEST_CASE("quoting gives a JSON string for any bytes") {
  CHECK(quoted("a\"b\\c") == R"("a\"b\\c")");
  CHECK(quoted("a\nb\tc") == R"("a\nb\tc")");
  CHECK(quoted(std::string_view("\0\x1b\x7f", 3)) == R"("\u0000\u001b\u007f")");
  CHECK(quoted("ü€😀") == "\"ü€😀\"");
  CHECK(quoted("\xff\xc3") == R"("\u00ff\u00c3")");                 // No UTF-8.
  CHECK(quoted("\xed\xa0\x80").find('\xed') == std::string::npos);  // A surrogate in UTF-8 is none either.
  CHECK(quoted("\xc0\xaf").find('\xc0') == std::string::npos);      // Overlong.
}

TEST_CASE("a JSON array of strings is read exactly") {
  std::vector<std::string> out;
  CHECK(parse_json_strings(R"( [ "a" , "b c" ] )", out));
  CHECK(out == std::vector<std::string>{"a", "b c"});
  CHECK(parse_json_strings("[]", out));
  CHECK(out.empty());
  CHECK(parse_json_strings(R"(["\"\\\/\b\f\n\r\t\u0041\u00fc\ud83d\ude00"])", out));
  CHECK(out == std::vector<std::string>{"\"\\/\b\f\n\r\tAü😀"});
  for (const char* bad :
       {"", "a", "[", "[\"a\"", "[\"a\",]", "[1]", "[\"a\"] x", "[\"a\" \"b\"]", "[\"\\x\"]", "[\"\\u12\"]",
        "[\"\\ud83d\"]", "[\"\\ude00\"]", "[\"a\nb\"]", "{\"a\":1}", "[\"a", "[\"\\"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_json_strings(bad, out));
  }
}

TEST_CASE("splitting keeps empty parts, trimming takes space off both ends") {
  CHECK(split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
  CHECK(split("", ',') == std::vector<std::string_view>{""});
  CHECK(trimmed(" \t a b \n") == "a b");
  CHECK(trimmed("  ").empty());
  CHECK(has_control_bytes("a\x7f"));
  CHECK_FALSE(has_control_bytes("a b ü"));
}
