#include "base/json.h"

#include <doctest/doctest.h>

#include <vector>

#include "base/utf8.h"

using namespace shoal;

namespace {

template <typename Int>
bool reads(std::string_view text, Int& out) {
  JsonReader r(text);
  return r.number(out) && r.at_end();
}

bool is_json(std::string_view text) {
  JsonReader r(text);
  return r.skip() && r.at_end();
}

}  // namespace

TEST_CASE("the writer puts commas between and nowhere else") {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.text("a", "x");
  w.key("b");
  w.begin_array();
  w.number(1);
  w.number(-2);
  w.begin_object();
  w.end_object();
  w.begin_array();
  w.end_array();
  w.text("y");
  w.end_array();
  w.boolean("c", true);
  w.number("d", 9);
  w.end_object();
  CHECK(out == R"({"a":"x","b":[1,-2,{},[],"y"],"c":true,"d":9})");
  CHECK(is_json(out));
}

TEST_CASE("any bytes become valid JSON and text comes back as it was") {
  std::string all;
  for (int byte = 0; byte < 128; ++byte) all += static_cast<char>(byte);
  all += "ü€😀";
  std::string out;
  append_json_text(out, all);
  JsonReader r(out);
  std::string back;
  CHECK(r.text(back));
  CHECK(r.at_end());
  CHECK(back == all);
  out.clear();
  append_json_text(out, "\xff");
  CHECK(out == R"("\u00ff")");
}

TEST_CASE("an object is read member by member, in any order, unknown ones skipped") {
  JsonReader r(
      R"( { "z" : {"deep":[1,2,{"x":null}]}, "n":7 , "t":"a\"b", "list":["x","y"], "yes":true, "f":-1.5e+3 } )");
  int n = 0;
  std::string t;
  bool yes = false;
  std::vector<std::string> list;
  CHECK(r.object([&](std::string_view key) {
    if (key == "n") {
      r.number(n);
    } else if (key == "t") {
      r.text(t);
    } else if (key == "yes") {
      r.boolean(yes);
    } else if (key == "list") {
      r.array([&] { r.text(list.emplace_back()); });
    } else {
      r.skip();
    }
  }));
  CHECK(r.at_end());
  CHECK(n == 7);
  CHECK(t == "a\"b");
  CHECK(yes);
  CHECK(list == std::vector<std::string>{"x", "y"});
}

TEST_CASE("a number that does not fit its type, or is no whole one, is a failure") {
  std::uint16_t port = 1;
  CHECK(reads("65535", port));
  CHECK(port == 65535);
  std::int64_t large = 0;
  CHECK(reads("-9223372036854775808", large));
  for (const char* bad : {"65536", "-1", "1.5", "1e2", "01", "+1", "", "\"1\"", "0x1", "99999999999999999999", "1 2"}) {
    CAPTURE(bad);
    CHECK_FALSE(reads(bad, port));
  }
}

TEST_CASE("what is no JSON is refused") {
  for (const char* good : {"null", "true", " [ ] ", "{}", "[[],{}]", "-0.5E-7", R"("\u0041")"}) {
    CAPTURE(good);
    CHECK(is_json(good));
  }
  for (const char* bad :
       {"",         "nul",  "tru",   "[",     "]",   "{",    "{\"a\"}",           "{\"a\":}",    "{\"a\":1,}",
        "[1,]",     "[,1]", "[1 2]", "{a:1}", "'a'", "\"a",  "\"\\x\"",           "\"\\u12g4\"", "\"\\ud800\"",
        "\"a\nb\"", "1.",   ".5",    "-",     "1e",  "{} x", "{\"a\":1 \"b\":2}", "{,}"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_json(bad));
  }
}

TEST_CASE("nesting is bounded, however deep the text goes") {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  CHECK(is_json(nested(JsonReader::kDepthMax)));
  CHECK_FALSE(is_json(nested(JsonReader::kDepthMax + 1)));
  CHECK_FALSE(is_json(std::string(1'000'000, '[')));
}

TEST_CASE("after a failure nothing more is read") {
  JsonReader r("[1, x, 2]");
  int calls = 0;
  int n = 0;
  CHECK_FALSE(r.array([&] {
    ++calls;
    r.number(n);
  }));
  CHECK(calls == 2);
  CHECK_FALSE(r.ok());
  CHECK_FALSE(r.skip());
  CHECK_FALSE(r.at_end());
}

TEST_CASE("a UTF-8 character is one to four bytes, and what is none is said") {
  CHECK(utf8_size("") == 0);
  CHECK(utf8_size("a") == 1);
  CHECK(utf8_size("ü") == 2);
  CHECK(utf8_size("€") == 3);
  CHECK(utf8_size("😀") == 4);
  CHECK(utf8_size("\xc3") == 0);
  CHECK(utf8_size("\xc0\xaf") == 0);
  CHECK(utf8_size("\xed\xa0\x80") == 0);
  CHECK(utf8_size("\xf4\x90\x80\x80") == 0);
}
