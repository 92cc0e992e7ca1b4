// safetensors: what is accepted, every field lied about in turn, shards and their index.
#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/test_support.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

Result<SafetensorsImage> parse(const std::string& image) {
  // A copy of exactly the image's size, so that the address sanitizer sees every step outside it.
  const std::vector<char> copy(image.begin(), image.end());
  Result<SafetensorsImage> parsed = parse_safetensors(bytes_of({copy.data(), copy.size()}), "x");
  if (parsed.ok()) {
    for (const TensorInfo& info : parsed.value().tensors) {
      for (const std::byte byte : info.bytes) EXPECT_GE(std::to_integer<int>(byte), 0);
    }
  }
  return parsed;
}

const std::string kGoodHeader = R"({"__metadata__":{"format":"pt"},)"
                                R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
                                R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
const std::string kGoodData(20, '\x11');

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const std::string image = safetensors_image(kGoodHeader + "   ", kGoodData);
  const SafetensorsImage parsed = MUST(parse_safetensors(bytes_of(image), "x"));  // well-formed
  ASSERT_EQ(parsed.tensors.size(), 2u);
  EXPECT_EQ(parsed.tensors[0].name, "a");
  EXPECT_EQ(parsed.tensors[1].name, "b");
  EXPECT_EQ(parsed.tensors[1].dtype, DType::kBF16);
  EXPECT_EQ(parsed.tensors[1].shape, (Shape{2, 3}));
  EXPECT_EQ(parsed.tensors[1].bytes.size(), 12u);
  EXPECT_EQ(parsed.tensors[1].bytes.data(), bytes_of(image).data() + image.size() - 12);
  EXPECT_EQ(parsed.metadata.at("format"), "pt");
}

TEST(Safetensors, AcceptsNothingAndEmptyTensorsAndScalars) {
  EXPECT_TRUE(parse(safetensors_image("{}", "")).ok());
  const auto parsed =
      parse(safetensors_image(R"({"e":{"dtype":"F32","shape":[3,0],"data_offsets":[4,4]},)"
                              R"("s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                              R"("f":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}})",
                              "abcd"));
  ASSERT_TRUE(parsed.ok()) << message_of(parsed);
  EXPECT_EQ(parsed.value().tensors[1].name, "s");
  EXPECT_EQ(parsed.value().tensors[1].shape.rank(), 0u);
}

struct Lie {
  const char* name;
  std::string header;
  std::string data;
  const char* message;
};

class SafetensorsLies : public ::testing::TestWithParam<Lie> {};

TEST_P(SafetensorsLies, AreRefusedByName) {
  const Lie& lie = GetParam();
  EXPECT_THAT(message_of(parse(safetensors_image(lie.header, lie.data))), HasSubstr(lie.message));
}

// A header of one tensor with this text for its fields, and 8 bytes of data.
Lie lie_about(const char* name, const std::string& fields, const char* message) {
  return {name, "{\"a\":{" + fields + "}}", std::string(8, 'x'), message};
}

INSTANTIATE_TEST_SUITE_P(
    EachField, SafetensorsLies,
    ::testing::Values(
        Lie{"NotAnObject", "[]", "", "does not begin with '{'"},
        Lie{"LeadingSpace", " {}", "", "does not begin with '{'"},
        Lie{"Empty", "", "", "does not begin with '{'"},
        Lie{"NotJson", "{\"a\":", "", "not valid JSON at byte"},
        Lie{"NotUtf8", "{\"\xFF\":{}}", "", "not valid JSON at byte"},
        Lie{"TextAfter", "{}{}", "", "not valid JSON at byte"},
        Lie{"ZeroAfter", std::string("{}\0", 3), "", "not valid JSON at byte 2"},
        Lie{"TextAfterZero", std::string("{}\0{\"a\":1}", 10), "", "not valid JSON at byte 2"},
        Lie{"TensorIsNumber", "{\"a\":1}", "", "tensor 'a' holds a number"},
        Lie{"TensorIsArray", "{\"a\":[[[[]]]]}", "", "tensor 'a' holds an array"},
        Lie{"NameEmpty", R"({"":{}})", "", "a tensor's name is empty"},
        Lie{"DeepObject", R"({"a":{"dtype":{"dtype":{}}}})", "",
            "tensor 'a', field 'dtype' holds an object"},
        Lie{"MetadataNumber", R"({"__metadata__":{"k":1}})", "",
            "__metadata__, field 'k' holds a number"},
        Lie{"MetadataTwice", R"({"__metadata__":{},"__metadata__":{}})", "",
            "__metadata__ occurs twice"},
        Lie{"MetadataKeyTwice", R"({"__metadata__":{"k":"1","k":"2"}})", "", "occurs twice"},
        Lie{"TensorTwice",
            R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
            R"("a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})",
            "xy", "tensor 'a' occurs twice"},
        lie_about("NoDtype", R"("shape":[2],"data_offsets":[0,8])", "lacks the field dtype"),
        lie_about("NoShape", R"("dtype":"F32","data_offsets":[0,8])", "lacks the field shape"),
        lie_about("NoOffsets", R"("dtype":"F32","shape":[2])", "lacks the field data_offsets"),
        lie_about("FieldTwice", R"("dtype":"F32","dtype":"F32")", "field 'dtype' occurs twice"),
        lie_about("UnknownField", R"("dtyp":"F32")", "field 'dtyp' is not one of"),
        lie_about("DtypeNumber", R"("dtype":7)", "field 'dtype' holds a number"),
        lie_about("ShapeText", R"("shape":"2")", "field 'shape' holds a string"),
        lie_about("ShapeNegative", R"("shape":[-2])", "field 'shape' holds a negative number"),
        lie_about("ShapeFraction", R"("shape":[2.0])", "no integer of 64 bits"),
        lie_about("ShapeBeyond64Bits", R"("shape":[18446744073709551616])",
                  "no integer of 64 bits"),
        lie_about("ShapeNested", R"("shape":[[2]])", "field 'shape' holds an array"),
        lie_about("ShapeOverflows",
                  R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])",
                  "has shape [4294967296, 4294967296]: too large"),
        lie_about("BytesOverflow",
                  R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8])",
                  "expected more than 64 bits count"),
        lie_about("ShapeTooSmall", R"("dtype":"F32","shape":[1],"data_offsets":[0,8])",
                  "which hold 8 bytes, expected 4"),
        lie_about("DtypeTooWide", R"("dtype":"F64","shape":[2],"data_offsets":[0,8])",
                  "of type F64 and shape [2] has data_offsets [0, 8], which hold 8 bytes"),
        lie_about("OneOffset", R"("dtype":"F32","shape":[2],"data_offsets":[8])",
                  "has 1 data_offsets, expected 2"),
        lie_about("ThreeOffsets", R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])",
                  "has 3 data_offsets, expected 2"),
        lie_about("OffsetsReversed", R"("dtype":"F32","shape":[2],"data_offsets":[8,0])",
                  "has data_offsets [8, 0] in 8 bytes of data"),
        lie_about("OffsetsBeyondFile", R"("dtype":"F32","shape":[2],"data_offsets":[4,12])",
                  "has data_offsets [4, 12] in 8 bytes of data"),
        lie_about("OffsetsHuge",
                  R"("dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615])",
                  "has data_offsets [0, 18446744073709551615]"),
        lie_about("HoleInFront", R"("dtype":"F32","shape":[1],"data_offsets":[4,8])",
                  "begins at byte 4 of the data, after a hole, expected 0"),
        lie_about("BytesLeftOver", R"("dtype":"F32","shape":[1],"data_offsets":[0,4])",
                  "tensors cover 4 bytes of data, the file has 8"),
        Lie{"Overlap",
            R"({"a":{"dtype":"I8","shape":[3],"data_offsets":[0,3]},)"
            R"("b":{"dtype":"I8","shape":[2],"data_offsets":[2,4]}})",
            "wxyz", "tensor 'b' begins at byte 2 of the data, inside its predecessor, expected 3"},
        Lie{"SameBytesTwice",
            R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},)"
            R"("b":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})",
            "wxyz", "inside its predecessor"}),
    [](const auto& lie) { return lie.param.name; });

TEST(Safetensors, RefusesHeadersThatAreTooLong) {
  EXPECT_THAT(message_of(parse("")), HasSubstr("has 0 bytes, expected at least 8"));
  EXPECT_THAT(message_of(parse("1234567")), HasSubstr("has 7 bytes, expected at least 8"));
  EXPECT_THAT(message_of(parse(encoded<std::uint64_t>(3) + "{}")),
              HasSubstr("header length is 3 bytes, the file has 2 after it"));
  EXPECT_THAT(message_of(parse(encoded(~std::uint64_t{0}) + "{}")),
              HasSubstr("header length is 18446744073709551615 bytes, expected at most 100000000"));
}

TEST(Safetensors, RefusesEveryPrefix) {
  const std::string image = safetensors_image(kGoodHeader, kGoodData);
  ASSERT_TRUE(parse(image).ok());
  for (std::size_t size = 0; size < image.size(); ++size)
    EXPECT_FALSE(parse(image.substr(0, size)).ok()) << size;
}

// Whatever a changed byte does, nothing outside the image is read (the sanitizers watch).
TEST(Safetensors, SurvivesEveryChangedByte) {
  const std::string image = safetensors_image(kGoodHeader, kGoodData);
  for (std::size_t at = 0; at < image.size(); ++at) {
    for (const char value : {'\x00', '0', '9', '"', '{', ']', '\xFF'}) {
      std::string changed = image;
      changed[at] = value;
      const auto parsed = parse(changed);
      EXPECT_TRUE(!parsed.ok() || parsed.value().tensors.size() == 2) << at;
    }
  }
}

// A header of nothing but brackets costs no tree: the first bracket in a wrong place ends it.
TEST(Safetensors, RefusesDeepNestingAtOnce) {
  const std::string deep = "{\"a\":" + std::string(10'000'000, '[');
  EXPECT_THAT(message_of(parse(safetensors_image(deep, ""))), HasSubstr("holds an array"));
}

TEST(Safetensors, ListsTypesThatItCannotRead) {
  TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  MUST(write_file(  // a folder of our own
      path, safetensors_image(R"({"f8":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},)"
                              R"("new":{"dtype":"F3","shape":[9],"data_offsets":[4,8]},)"
                              R"("r5":{"dtype":"I8","shape":[1,2,1,2,1],"data_offsets":[8,12]},)"
                              R"("f4":{"dtype":"F4","shape":[4],"data_offsets":[12,14]},)"
                              R"("u":{"dtype":"U8","shape":[2],"data_offsets":[14,16]}})",
                              "0123456789abcdef")));
  const auto file = MUST(SafetensorsFolder::open_file(path));
  EXPECT_EQ(file->find("f8")->type_name, "F8_E4M3");
  EXPECT_EQ(file->find("r5")->shape, (Shape{1, 2, 1, 2}));
  EXPECT_EQ(message_of(file->tensor("f8")), path + ": tensor 'f8': type F8_E4M3 is not supported");
  EXPECT_EQ(message_of(file->tensor("new")), path + ": tensor 'new': type 'F3' is not known");
  EXPECT_EQ(message_of(file->tensor("r5")),
            path + ": tensor 'r5': shape [1, 2, 1, 2, 1] has more than 4 dimensions");
  EXPECT_FALSE(file->tensor("f4").ok());
  EXPECT_TRUE(file->tensor("u").ok());
  EXPECT_EQ(file->num_bytes(), 16u);
}

std::string one_tensor(const std::string& name, const std::string& data) {
  return safetensors_image("{\"" + name + "\":{\"dtype\":\"I8\",\"shape\":[" +
                               std::to_string(data.size()) + "],\"data_offsets\":[0," +
                               std::to_string(data.size()) + "]}}",
                           data);
}

TEST(SafetensorsShards, ComeTogetherByTheIndex) {
  TemporaryFolder folder;
  MUST(write_file(folder / "one.safetensors", one_tensor("a", "xy")));   // a folder of our own
  MUST(write_file(folder / "two.safetensors", one_tensor("b", "pqr")));  // likewise
  const std::string index = folder / "model.safetensors.index.json";
  MUST(write_file(index, R"({"metadata":{"total_size":5,"x":[1,{"y":null}]},"weight_map":)"
                         R"({"a":"one.safetensors","b":"two.safetensors"}})"));  // likewise
  const auto source = MUST(SafetensorsFolder::open_folder(folder.path()));
  EXPECT_EQ(source->files().size(), 2u);
  EXPECT_EQ(source->tensors().size(), 2u);
  EXPECT_EQ(source->tensor("b").value().bytes.size(), 3u);
  EXPECT_TRUE(source->check_intact().ok());
  source->release_pages(source->tensor("b").value().bytes);
  EXPECT_EQ(std::to_integer<char>(source->tensor("b").value().bytes[2]), 'r');

  const auto message_for = [&](const std::string& text) {
    MUST(write_file(index, text));  // a folder of our own
    return message_of(SafetensorsFolder::open_folder(folder.path()));
  };
  EXPECT_THAT(message_for(R"({"weight_map":{"c":"one.safetensors"}})"),
              HasSubstr("places tensor 'c' in one.safetensors, which does not hold it"));
  EXPECT_THAT(message_for(R"({"weight_map":{"c":"three.safetensors"}})"),
              HasSubstr("three.safetensors"));
  EXPECT_EQ(message_for(R"({"weight_map":{"a":"one.safetensors"}})"), "no error");
}

TEST(SafetensorsShards, IndexIsCheckedFieldByField) {
  const auto message_for = [](const std::string& text) {
    return message_of(parse_safetensors_index(text, "i"));
  };
  for (const char* file :
       {"../x", "/etc/x", "a/b", "..", ".", "", "a\\\\b", "a\\u0000b", "dir/../x"}) {
    EXPECT_THAT(message_for(std::string(R"({"weight_map":{"a":")") + file + "\"}}"),
                HasSubstr("expected one without a folder"))
        << file;
  }
  EXPECT_THAT(message_for("{}"), HasSubstr("lacks weight_map"));
  EXPECT_THAT(message_for("[]"), HasSubstr("index holds an array"));
  EXPECT_THAT(message_for("\"a\""), HasSubstr("index holds a string"));
  EXPECT_THAT(message_for("1"), HasSubstr("index lacks weight_map"));
  EXPECT_THAT(message_for(R"({"weight_map":[]})"), HasSubstr("'weight_map' holds an array"));
  EXPECT_THAT(message_for(R"({"weight_map":"a"})"), HasSubstr("'weight_map' holds a string"));
  EXPECT_THAT(message_for(R"({"weight_map":{"a":1}})"), HasSubstr("holds a number"));
  EXPECT_THAT(message_for(R"({"weight_map":{"a":{"b":"c"}}})"), HasSubstr("holds an object"));
  EXPECT_THAT(message_for(R"({"weight_map":{"a":"x","a":"y"}})"),
              HasSubstr("tensor 'a' occurs twice"));
  EXPECT_THAT(message_for(R"({"weight_map":{},"weight_map":{}})"),
              HasSubstr("weight_map occurs twice"));
  EXPECT_THAT(message_for(R"({"weight_map":{)"), HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace millrace
