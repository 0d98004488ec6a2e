# Every target is one line that calls the tool; `make` alone lists them. The environments are made on first use, pinned.
include project.mk
JOB := resources/bronze_to_silver.job.yml
DEMO := .demo
SPARK_TESTS := tests

.PHONY: demo run test test-spark test-apis test-cli oracles crashes adoption kills histories mutations words lint template bench bench-generator bench-loaders clean

demo: .venv/run.stamp      ## load the example's two days on this machine and show what came out
	@$(RUN) -m example demo --workspace $(DEMO)
run: .venv/run.stamp       ## run the generated job in the demo's workspace
	@$(RUN) -m localjobs run $(JOB) --workspace $(DEMO)
test: .venv/test.stamp .venv-minilake/minilake.stamp  ## every test but those on Spark, of its versions, by the CLI, the oracles, and what kills, sleeps, mutates or plays histories for minutes
	@$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not spark and not api and not cli and not oracle and not crash and not kill and not mutation and not truth and not words and not history"
test-spark: .venv/test.stamp .venv-spark/spark.stamp  ## the tests on OSS Spark + Delta, the loaders' among them
	@$(RUN) -m pytest --engine spark -m spark $(SPARK_TESTS)
APIS := .venv-apis/spark-3-5.stamp .venv-apis/spark-4-0.stamp .venv-apis/spark-4-3.stamp
test-apis: .venv/test.stamp .venv/lint.stamp $(APIS)  ## is all that the wheel calls there in the oldest and the newest Spark of a runtime?
	@$(RUN) -m pytest -m api tests/test_runtimes.py
test-cli: .venv/test.stamp  ## deploy, run and destroy by the `databricks` on the PATH, on a workspace of this machine
	@$(RUN) -m pytest -m cli tests/workspace
oracles: .venv-oracles/oracles.stamp .venv-autocdc/autocdc.stamp  ## the loaders beside dbt, SQLMesh and AUTO CDC (docs/oracles.md)
	@.venv-oracles/bin/python -m pytest -m oracle tests/oracles
crashes: .venv/test.stamp  ## kill and race every load many times (docs/crashes.md)
	@$(RUN) -m pytest -s -m crash tests/crashes
words: .venv/test.stamp    ## every pair of words of cdc_source_config does something on every loader, or is refused
	@$(RUN) -m pytest -s -n 2 -m words tests/words
truth: .venv/test.stamp    ## five runs of localjobs beside what `monitor simulate` foretold of them (docs/simulate.md)
	@$(RUN) -m pytest -s -m truth tests/monitor
adoption: .venv/test.stamp  ## adopt the 135 tables of a driver notebook in one command, load two nights
	@$(RUN) -m pytest -s --driver-tables 135 tests/journeys/test_adoption.py
kills: .venv/test.stamp    ## kill 50 local runs at any moment; repair them, or run again (docs/running.md)
	@$(RUN) -m pytest -s -m kill tests/localjobs
histories: .venv/test.stamp  ## 500 random sequences of 8 runs, between which everything changes, and 200 of late regions
	@$(RUN) -m pytest -s -m history tests/histories tests/laketasks/test_union_sources.py
mutations: .venv/test.stamp  ## 5,000 files of metadata with mistakes: no trace, no file, no problem lost
	@$(RUN) -m pytest -s -m mutation tests/mutations
lint: .venv/test.stamp .venv/lint.stamp  ## ruff, mypy --strict, and the check of resources/
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && $(RUN) -m generator check
template: .venv/test.stamp  ## link into template/ what a project takes from here as it is
	@$(RUN) -m tests.template.links
bench: .venv/test.stamp    ## the measurements of benchmarks/README.md
	@$(RUN) -m benchmarks
bench-loaders: .venv/test.stamp  ## the loaders beside dbt's, SQLMesh's, mack's, deltalake's and textbook statements, 1 M rows
	@$(RUN) -m benchmarks.loaders
bench-generator: .venv/test.stamp .venv-rivals/rivals.stamp  ## the generator beside PyDABs, lakeflow-jobs-meta and dbt-factory
	@$(RUN) -m benchmarks.generator
clean:     ## remove the environments, the demo's workspace and what was built
	rm -rf .venv .venv-spark .venv-oracles .venv-autocdc .venv-rivals .venv-minilake .venv-apis $(DEMO) dist

# Spark, a Java where the machine has none, and Delta's jars.
.venv-spark/spark.stamp: pyproject.toml constraints-spark.txt localjobs/delta.ivy.xml | .venv-spark/bin/python
	@echo "installing Spark and Delta into .venv-spark (about 450 MB) ..."
	@.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-spark.txt --group spark \
	  $$("$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version >/dev/null 2>&1 || echo --group jdk)
	@.venv-spark/bin/python -m localjobs.spark_home
	@touch $@

# The Python of a Spark: what it offers, without the jars that would run it.
.venv-apis/%.stamp: pyproject.toml | .venv/bin/python
	@echo "installing the Python of $* into .venv-apis (keeps 20 MB of up to 450) ..."
	@rm -rf .venv-apis/$* && $(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --target .venv-apis/$* --group $*
	@rm -rf .venv-apis/$*/pyspark/jars && touch $@

# A workspace's API on this machine, for the tests of what reads one.
.venv-minilake/minilake.stamp: pyproject.toml constraints-minilake.txt | .venv-minilake/bin/python
	@echo "installing minilake into .venv-minilake (about 350 MB) ..."
	@.venv-minilake/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-minilake.txt --group minilake
	@touch $@

# The loaders and who else keeps histories; AUTO CDC is in a Spark of its own.
.venv-oracles/oracles.stamp: pyproject.toml constraints-oracles.txt | .venv-oracles/bin/python
	@echo "installing Sail, dbt and SQLMesh into .venv-oracles (about 900 MB) ..."
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oracles.txt --group oracles --editable .
	@touch $@
.venv-autocdc/autocdc.stamp: pyproject.toml constraints-oracles.txt tests/oracles/auto_cdc.ivy.xml | .venv-autocdc/bin/python
	@echo "installing a Spark with AUTO CDC into .venv-autocdc (about 900 MB) ..."
	@.venv-autocdc/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oracles.txt --group autocdc \
	  $$("$${JAVA_HOME:+$$JAVA_HOME/bin/}java" -version >/dev/null 2>&1 || echo --group jdk)
	@.venv-autocdc/bin/python -m tests.oracles.auto_cdc fetch
	@touch $@

# Who else makes jobs from tables: for the benchmark only.
.venv-rivals/rivals.stamp: pyproject.toml constraints-rivals.txt | .venv-rivals/bin/python
	@echo "installing PyDABs, lakeflow-jobs-meta, dbt and dbt-factory into .venv-rivals (about 250 MB) ..."
	@.venv-rivals/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-rivals.txt --group rivals
	@touch $@
