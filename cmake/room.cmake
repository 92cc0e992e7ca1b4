# A room: src/<name>/**.cpp become millrace_<name>; the *_test.cpp beside them, one test program.
# A main.cpp is left to the program that it belongs to.
#
#   millrace_room(text LINKS millrace_base PRIVATE_LINKS PkgConfig::PCRE2)
#
# LINKS are rooms of the include table, passed on to users; PRIVATE_LINKS, what that stay inside.
# Sources whose path matches EXCLUDE belong to another target.
function(millrace_room name)
  cmake_parse_arguments(ROOM "" "EXCLUDE" "LINKS;PRIVATE_LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(ROOM_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "${ROOM_EXCLUDE}")
  endif()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  if(sources)
    add_library(millrace_${name} STATIC ${sources})
    target_include_directories(millrace_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(millrace_${name}
      PUBLIC ${ROOM_LINKS} PRIVATE millrace_flags ${ROOM_PRIVATE_LINKS})
  else()
    add_library(millrace_${name} INTERFACE)
    target_include_directories(millrace_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(millrace_${name} INTERFACE ${ROOM_LINKS})
  endif()

  if(MILLRACE_TESTS AND tests)
    millrace_test(${name}_test LABELS unit SOURCES ${tests}
      LINKS millrace_${name} ${ROOM_PRIVATE_LINKS})
  endif()
endfunction()

# The thread sanitizer looks at what runs on several threads; its tree has only these tests.
set(MILLRACE_THREAD_TESTS base_test kernels_test memory_test engine_test observe_test)
set(MILLRACE_THREAD_LABELS sim e2e)

# A GoogleTest program. ctest sees each test case on its own; tests of GPU or data may skip.
#
#   millrace_test(simulator_test LABELS sim SOURCES simulator_test.cpp LINKS millrace_engine)
function(millrace_test name)
  cmake_parse_arguments(TEST "" "" "LABELS;SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE
    ${TEST_LINKS} millrace_flags GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    MILLRACE_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data"
    MILLRACE_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data")
  if(MILLRACE_SANITIZE STREQUAL thread AND NOT name IN_LIST MILLRACE_THREAD_TESTS
      AND NOT TEST_LABELS IN_LIST MILLRACE_THREAD_LABELS)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 120 PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT 600)
endfunction()
include(GoogleTest)
