#include "config/placeholders.h"

#include <doctest/doctest.h>

using namespace shoal::config;

TEST_CASE("the three placeholders are filled in wherever they stand") {
  const PlaceholderValues values{"10.0.0.7", 8080, 3};
  CHECK(fill_placeholders("http://{addr}:{port}/?fd={fd}", values) == "http://10.0.0.7:8080/?fd=3");
  CHECK(fill_placeholders("{port}{port}", values) == "80808080");
  CHECK(fill_placeholders("plain", values) == "plain");
  CHECK(fill_placeholders("", values).empty());
}

TEST_CASE("two opening braces are one, and what follows is no placeholder") {
  const PlaceholderValues values{"a", 1, 3};
  CHECK(fill_placeholders("{{port}", values) == "{port}");
  CHECK(fill_placeholders("{{{port}", values) == "{1");
  CHECK(unknown_placeholder("{{name}").empty());
}

TEST_CASE("a brace that begins no word is itself") {
  const PlaceholderValues values{"a", 1, 3};
  for (const char* word : {"{ print $1 }", "{}", "{\"a\":1}", "}", "{", "{port", "{a-b}", "x}y"}) {
    CAPTURE(word);
    CHECK(unknown_placeholder(word).empty());
    CHECK(fill_placeholders(word, values) == word);
  }
}

TEST_CASE("{fd} is found where it would be filled in") {
  CHECK(names_fd("--fd={fd}"));
  CHECK(names_fd("{{{fd}"));
  CHECK_FALSE(names_fd("{{fd}"));
  CHECK_FALSE(names_fd("{port}{addr}"));
  CHECK_FALSE(names_fd("fd"));
}

TEST_CASE("any other word in braces is named") {
  CHECK(unknown_placeholder("--port={prt}") == "{prt}");
  CHECK(unknown_placeholder("{port}${HOME}") == "{HOME}");
  CHECK(unknown_placeholder("{PORT}") == "{PORT}");
}
