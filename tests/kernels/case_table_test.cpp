// Every op, format and size of the case table on every runnable row of kernels: right by the
// reference, and the same bits with any number of threads.
#include <gtest/gtest.h>

#include <cctype>

#include "kernel_case.h"

namespace millrace::kernel_cases {
namespace {

std::string printable(std::string name) {
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

class CaseTableTest : public ::testing::Test {
 public:
  CaseTableTest(const CpuKernels& kernels, const CaseRow& row) : kernels_(kernels), row_(row) {}

  void TestBody() override {
    const std::unique_ptr<KernelCase> kernel_case = row_.make();
    std::vector<std::byte> alone;
    for (const std::size_t num_threads : {1u, 2u, 3u, 5u}) {
      ThreadTeam team(num_threads);
      KernelContext context(kernels_, team);
      kernel_case->reset();
      run_step(context, [&](KernelContext& of_rank) { kernel_case->run(of_rank); });
      if (num_threads == 1) {
        EXPECT_EQ(kernel_case->check(), "");
        alone = kernel_case->output();
      } else {
        EXPECT_TRUE(kernel_case->output() == alone) << num_threads << " threads change the result";
      }
    }
  }

 private:
  const CpuKernels& kernels_;
  CaseRow row_;
};

// One test per row of kernels and family of cases ("matmul/int4", "rope/halves"): the table has
// over a thousand rows, too many processes for ctest.
class FamilyTest : public ::testing::Test {
 public:
  FamilyTest(const CpuKernels& kernels, std::vector<CaseRow> rows)
      : kernels_(kernels), rows_(std::move(rows)) {}
  void TestBody() override {
    for (const CaseRow& row : rows_) {
      SCOPED_TRACE(row.name);
      CaseTableTest(kernels_, row).TestBody();
    }
  }

 private:
  const CpuKernels& kernels_;
  std::vector<CaseRow> rows_;
};

std::string family_of(const std::string& name) {
  const std::size_t first = name.find('/');
  const std::size_t second = name.find('/', first + 1);
  return name.substr(
      0, std::isupper(static_cast<unsigned char>(name[first + 1])) != 0 ? first : second);
}

const bool kRegistered = [] {
  std::vector<std::pair<std::string, std::vector<CaseRow>>> families;
  for (const CaseRow& row : all_cases()) {
    if (row.use == Use::kBenchmark) continue;
    const std::string family = family_of(row.name);
    if (families.empty() || families.back().first != family) {
      const auto known = std::find_if(families.begin(), families.end(),
                                      [&](const auto& f) { return f.first == family; });
      if (known != families.end()) {
        known->second.push_back(row);
        continue;
      }
      families.push_back({family, {}});
    }
    families.back().second.push_back(row);
  }
  for (const CpuKernels* kernels : runnable_cpu_kernels()) {
    for (const auto& [family, rows] : families) {
      ::testing::RegisterTest(
          "CaseTable", (std::string(kernels->isa) + "_" + printable(family)).c_str(), nullptr,
          nullptr, __FILE__, __LINE__,
          [kernels, rows = rows]() -> ::testing::Test* { return new FamilyTest(*kernels, rows); });
    }
  }
  return true;
}();

TEST(CaseTable, IsRegistered) {
  EXPECT_TRUE(kRegistered);
  EXPECT_GT(all_cases().size(), 1000u);
}

}  // namespace
}  // namespace millrace::kernel_cases
