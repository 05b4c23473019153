# SPDX-License-Identifier: Apache-2.0
# Compiler settings of our own code and the function that makes a module.
include_guard(GLOBAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(SQLite3 REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)

option(KITH_WERROR "Warnings of our own code are errors" ${PROJECT_IS_TOP_LEVEL})
option(KITH_CCACHE "Compile through ccache when it is there" ${PROJECT_IS_TOP_LEVEL})
if(KITH_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(KITH_CCACHE_PROGRAM ccache)
  if(KITH_CCACHE_PROGRAM)
    # Without the working folder in the key, the build folders of one checkout share what they compile with equal flags.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env CCACHE_NOHASHDIR=1 "${KITH_CCACHE_PROGRAM}")
  endif()
endif()

# kith_warnings: for everything we build, programs and examples too. kith_flags: for modules and their tests, which see src/.
add_library(kith_warnings INTERFACE)
target_compile_options(kith_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                               -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual -Wformat=2>)
if(KITH_WERROR)
  target_compile_options(kith_warnings INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12 reports these wrongly inside its own std::vector and std::variant at -O2 (gcc bugs 105562, 107852).
  target_compile_options(kith_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow -Wno-array-bounds
                                                 -Wno-maybe-uninitialized -Wno-stringop-overread -Wno-restrict>)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # libstdc++ 12's own std::stable_sort calls what it deprecated; gcc keeps looking at our calls.
  # -Wconversion includes signs with clang and not with gcc (in C++), -Wshadow the capture [x = x] of a structured binding;
  # gcc is the judge of both.
  target_compile_options(kith_warnings INTERFACE -Wno-deprecated-declarations -Wno-sign-conversion -Wno-shadow)
endif()
foreach(sanitizer IN LISTS KITH_SANITIZE)
  target_compile_options(kith_warnings INTERFACE -fsanitize=${sanitizer} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(kith_warnings INTERFACE -fsanitize=${sanitizer})
endforeach()
if(KITH_MUTANTS)
  target_compile_definitions(kith_warnings INTERFACE KITH_MUTANTS)
endif()
if(KITH_COVERAGE)
  target_compile_options(kith_warnings INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(kith_warnings INTERFACE --coverage)
endif()
if(KITH_BUILD_FUZZ)
  # Without this libFuzzer does not see the branches of the modules and searches blindly.
  target_compile_options(kith_warnings INTERFACE -fsanitize=fuzzer-no-link)
endif()

add_library(kith_flags INTERFACE)
target_link_libraries(kith_flags INTERFACE kith_warnings)
target_include_directories(kith_flags INTERFACE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/src")

# kith_module(<name> [USES <module>...] [LINKS <target>...] [APART])
# Builds src/<name>/*.cpp as kith_<name>. USES names modules of the table in tools/edges.txt.
# APART keeps the module out of the product library (kith::kith).
function(kith_module name)
  cmake_parse_arguments(ARG "APART" "" "USES;LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp" "${PROJECT_SOURCE_DIR}/src/${name}/*/*.cpp")
  if(NOT sources)
    message(FATAL_ERROR "module ${name} has no source in src/${name}")
  endif()
  add_library(kith_${name} STATIC ${sources})
  list(TRANSFORM ARG_USES PREPEND kith_)
  target_link_libraries(kith_${name} PUBLIC kith_flags ${ARG_USES} PRIVATE ${ARG_LINKS})
  if(NOT ARG_APART)
    set_property(GLOBAL APPEND PROPERTY KITH_MODULES kith_${name})
    set_property(GLOBAL APPEND PROPERTY KITH_LINKS ${ARG_LINKS})
  endif()
endfunction()
